//! Embeds the web page, if it has been built, so that one program is all there is to install.
//!
//! The page is made by `make web` into `web/dist`; `GELATO_WEB_DIST` names another folder. Without it the program says how to get it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// A page of more files than this is something else.
const MOST_FILES: usize = 500;

fn main() -> io::Result<()> {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=GELATO_WEB_DIST");
    let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let dist = match env::var_os("GELATO_WEB_DIST") {
        Some(folder) => PathBuf::from(folder),
        None => here.join("../../web/dist"),
    };
    let mut files = Vec::new();
    // A folder that is missing must not be watched: cargo would build this anew every time.
    if dist.join("index.html").is_file() {
        println!("cargo:rerun-if-changed={}", dist.display());
        collect(&dist, &mut files)?;
        files.sort();
    }
    let mut table = String::from("&[\n");
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    for (number, file) in files.iter().enumerate() {
        let name = file.strip_prefix(&dist).unwrap_or(file);
        // A copy: the page may be built anew before the compiler gets there.
        let path = out.join(format!("page-{number}"));
        fs::copy(file, &path)?;
        let _ = writeln!(
            table,
            "    (\"/{}\", include_bytes!({path:?})),",
            name.display()
        );
    }
    table.push_str("]\n");
    fs::write(out.join("page.rs"), table)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if files.len() < MOST_FILES {
            files.push(path);
        } else {
            return Err(io::Error::other("too many files in the page's folder"));
        }
    }
    Ok(())
}
