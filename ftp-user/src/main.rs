//! The command `ftptrack`.

use std::process::ExitCode;

fn main() -> ExitCode {
    ftp_user::cli::main()
}
