//! Keys.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// A key, as far as it means something.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Key {
    /// Ctrl-C: it ends whatever is being done.
    Quit,
    /// A letter.
    Char(char),
    /// Enter.
    Enter,
    /// Esc.
    Escape,
    /// Backspace.
    Back,
    /// Tab.
    Next,
    /// Shift-Tab.
    Previous,
    /// The arrow.
    Up,
    /// The arrow.
    Down,
    /// Page up.
    PageUp,
    /// Page down.
    PageDown,
    /// Home.
    Home,
    /// End.
    End,
    /// Any other.
    Other,
}

impl Key {
    /// The key of an event of the terminal.
    #[must_use]
    pub fn of(event: KeyEvent) -> Self {
        // What Esc and a letter look like, too, when they come at once.
        if event.modifiers.contains(KeyModifiers::ALT) {
            return Self::Other;
        }
        let is_control = event.modifiers.contains(KeyModifiers::CONTROL);
        match event.code {
            KeyCode::Char('c') if is_control => Self::Quit,
            KeyCode::Char(_) if is_control => Self::Other,
            KeyCode::Char(letter) => Self::Char(letter),
            KeyCode::Enter => Self::Enter,
            KeyCode::Esc => Self::Escape,
            KeyCode::Backspace => Self::Back,
            KeyCode::Tab => Self::Next,
            KeyCode::BackTab => Self::Previous,
            KeyCode::Up => Self::Up,
            KeyCode::Down => Self::Down,
            KeyCode::PageUp => Self::PageUp,
            KeyCode::PageDown => Self::PageDown,
            KeyCode::Home => Self::Home,
            KeyCode::End => Self::End,
            _ => Self::Other,
        }
    }
}

/// What keys do, for the page of help.
pub const HELP: [(&str, &str); 11] = [
    ("q, Ctrl-C", "quit"),
    ("Tab, Shift-Tab", "next list, previous list"),
    ("Up, Down, j, k", "choose a line; PageUp, PageDown, Home and End too"),
    ("Enter", "the chosen line's session as a conversation"),
    ("Esc", "back; in the lists: no filter any more"),
    ("p, Space", "pause: the display freezes, nothing is missed"),
    ("s", "the next order of the list"),
    ("r", "the other way round"),
    ("/", "filter: lines with a text in them; Enter keeps it, Esc drops it"),
    ("?, h", "this page"),
    ("", "Of commands the verb is shown, of replies the code; no more."),
];
