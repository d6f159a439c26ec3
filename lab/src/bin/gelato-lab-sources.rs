//! Fetches the source packages the tests compile, so that they need no network later.

use std::process::ExitCode;

use gelato_lab::sources;

fn main() -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    for package in sources::PACKAGES {
        match sources::fetch(package) {
            Ok(folder) => println!("{package}: {}", folder.display()),
            Err(error) => {
                eprintln!("{package}: {error:#}");
                code = ExitCode::FAILURE;
            }
        }
    }
    code
}
