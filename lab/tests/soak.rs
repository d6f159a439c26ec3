//! A minute of builds while programs are killed, stopped and cut off at random.

mod common;

use std::time::Duration;

use anyhow::Result;
use gelato_lab::{Layout, soak};

/// An hour's worth of jobs needs as long as the machine needs for them; this is what a test may take.
const SPAN: Duration = Duration::from_secs(30);

#[test]
fn builds_survive_whatever_happens() -> Result<()> {
    require!(Layout::Namespaces, &[]);
    let settings = soak::Settings::from_environment(SPAN)?;
    eprintln!("{}", soak::run(settings)?);
    Ok(())
}
