//! Takes the terminal as `ftptrack top` does, and panics.

use ftp_user::top::screen::Screen;

fn main() {
    let mut screen = Screen::open().expect("a terminal");
    screen.draw(|_| panic!("the picture fell down")).expect("it is not drawn");
}
