//! What the core noticed, as log lines. Scripts match these texts, so they and their levels are Icecream's where it has
//! such a line.

use std::fmt::Write as _;

use gelato_scheduler_core::{Algorithm, Environment, JobResult, Note, Text, Why};
use tracing::Level;

use gelato_wire::types::features;

/// Writes a note to the log.
pub(crate) fn log(note: &Note, algorithm: Algorithm) {
    let level = level(note);
    if level == Level::INFO {
        if tracing::enabled!(Level::INFO) {
            tracing::info!("{}", line(note, algorithm));
        }
    } else if level == Level::WARN {
        tracing::warn!("{}", line(note, algorithm));
    } else if tracing::enabled!(Level::DEBUG) {
        tracing::debug!("{}", line(note, algorithm));
    }
}

fn level(note: &Note) -> Level {
    match note {
        Note::New { .. }
        | Note::RemoveDaemon { .. }
        | Note::AssigningSubmitter { .. }
        | Note::NotTheServer { .. }
        | Note::NotTheSubmitter { .. } => Level::INFO,
        Note::InstallTimedOut { .. } | Note::Reachability { .. } => Level::WARN,
        _ => Level::DEBUG,
    }
}

fn line(note: &Note, algorithm: Algorithm) -> String {
    match note {
        Note::Login {
            name,
            version,
            features,
            environments,
        } => format!(
            "login {} protocol version: {version} features: {} [{}]",
            plain(name),
            features::names(*features),
            listed(environments)
        ),
        Note::Relogin {
            name,
            platform,
            environments,
        } => format!(
            "RELOGIN {}({}): [{}]",
            plain(name),
            plain(platform),
            listed(environments)
        ),
        Note::RemoveDaemon { name } => format!("remove daemon {}", plain(name)),
        Note::New {
            job,
            submitter,
            environments,
            file,
            language,
            niceness,
        } => {
            let versions: Vec<String> = environments.iter().map(versioned).collect();
            format!(
                "NEW {job} client={} versions=[{}] {} {} {niceness}",
                plain(submitter),
                versions.join(", "),
                plain(file),
                language_name(*language)
            )
        }
        Note::Selected { job, node, why } => selected(job.0, node, *why, algorithm),
        Note::Put { job, node, install } => format!(
            "put {job} in joblist of {}{}",
            plain(node),
            if *install { " (will install now)" } else { "" }
        ),
        Note::Delaying { job } => format!("No suitable host found, delaying (job {job})"),
        Note::AssigningSubmitter { .. } => "No suitable host found, assigning submitter".to_owned(),
        Note::Begin {
            job,
            submitter,
            target,
            worker,
            platform,
        } => format!(
            "BEGIN: {job} client={}({}) server={}({})",
            plain(submitter),
            plain(target),
            plain(worker),
            plain(platform)
        ),
        Note::End {
            job,
            result,
            worker,
        } => end(job.0, result, worker.as_ref()),
        Note::LocalBegin { file, client, full } => format!(
            "handle_local_job {}{} {client}",
            if *full { "(full) " } else { "" },
            plain(file)
        ),
        Note::LocalDone { client } => format!("handle_local_job_done {client}"),
        Note::ClientGone { job } => format!("STOP (WAITFORCS) FOR {job}"),
        Note::StoppedWhileQueued { job } => format!("STOP (DAEMON) FOR {job}"),
        Note::StoppedWhilePlaced { job } => format!("STOP (DAEMON2) FOR {job}"),
        Note::NotTheServer { job } => format!("the server isn't the same for job {job}"),
        Note::NotTheSubmitter { job } => format!("the submitter isn't the same for job {job}"),
        Note::NotHandledBy { address, .. } => format!("that job isn't handled by {address}"),
        Note::Recovered { job, number, file } => {
            format!("recovered {job} (was {number}) {}", plain(file))
        }
        Note::NotPresent { job } => format!("job ID not present {job}"),
        Note::Blacklisting {
            address,
            environment,
        } => format!(
            "Blacklisting host {} for environment {} ({})",
            plain(address),
            plain(&environment.name),
            plain(&environment.platform)
        ),
        Note::InstallTimedOut { node, environment } => format!(
            "busy installing for a long time - {} is not offered {} for a while",
            plain(node),
            plain(&environment.name)
        ),
        Note::Reachability {
            node,
            reachable: true,
            ..
        } => format!("{} can be connected to again", plain(node)),
        Note::Reachability { node, .. } => format!(
            "{} cannot be connected to and gets no jobs of others; see its firewall and port",
            plain(node)
        ),
    }
}

fn selected(job: u32, node: &Text, why: Why, algorithm: Algorithm) -> String {
    let node = plain(node);
    match why {
        Why::OnlyOne => format!("returning only available server {node} for job {job}"),
        Why::NothingKnown => {
            format!("no job stats - returning randomly selected {node} for job {job}")
        }
        Why::OwnSlot => format!(
            "failed to select a server using {} algorithm: {why} (job {job}, {node})",
            algorithm.name()
        ),
        _ => format!(
            "selected {node} using {} algorithm: {why} (job {job})",
            algorithm.name()
        ),
    }
}

fn end(job: u32, result: &JobResult, worker: Option<&Text>) -> String {
    let mut line = format!("END {job} status={}", result.exit_code);
    if result.exit_code == 0 {
        let percent = |part: u32, whole: u32| u64::from(part) * 100 / u64::from(whole.max(1));
        let _ = write!(
            line,
            " in={}({}%) out={}({}%) real={} user={} sys={} pfaults={} server={}",
            result.in_uncompressed,
            percent(result.in_compressed, result.in_uncompressed),
            result.out_uncompressed,
            percent(result.out_compressed, result.out_uncompressed),
            result.real_ms,
            result.user_ms,
            result.sys_ms,
            result.page_faults,
            worker.map_or_else(|| "<unknown>".to_owned(), plain)
        );
    }
    line
}

fn listed(environments: &[Environment]) -> String {
    environments
        .iter()
        .map(|environment| format!("{}, ", versioned(environment)))
        .collect()
}

fn versioned(environment: &Environment) -> String {
    format!(
        "{}({})",
        plain(&environment.name),
        plain(&environment.platform)
    )
}

fn language_name(number: u32) -> &'static str {
    match number {
        0 => "C",
        1 => "C++",
        2 => "ObjC",
        3 => "ObjC++",
        _ => "<custom>",
    }
}

/// A text of a peer on one line.
fn plain(text: &Text) -> String {
    text.to_string()
        .chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use gelato_scheduler_core::{ClientId, JobId};

    fn text(note: &Note) -> String {
        line(note, Algorithm::Fastest)
    }

    #[test]
    fn lines_scripts_match_are_icecreams() {
        let gcc = || vec![Environment::new("x86_64", "8b59")];
        let login = Note::Login {
            name: Text::from("alpha"),
            version: 43,
            features: 3,
            environments: Vec::new(),
        };
        assert_eq!(
            text(&login),
            "login alpha protocol version: 43 features: env_xz env_zstd []"
        );
        let relogin = Note::Relogin {
            name: Text::from("alpha"),
            platform: Text::from("x86_64"),
            environments: gcc(),
        };
        assert_eq!(text(&relogin), "RELOGIN alpha(x86_64): [8b59(x86_64), ]");
        let new = Note::New {
            job: JobId(1),
            submitter: Text::from("alpha"),
            environments: gcc().into(),
            file: Text::from("tmp/b/a.c"),
            language: 0,
            niceness: 0,
        };
        assert_eq!(
            text(&new),
            "NEW 1 client=alpha versions=[8b59(x86_64)] tmp/b/a.c C 0"
        );
        assert_eq!(level(&new), Level::INFO);
        let local = Note::LocalBegin {
            file: Text::from("/tmp/a.out"),
            client: ClientId(3),
            full: true,
        };
        assert_eq!(text(&local), "handle_local_job (full) /tmp/a.out 3");
        let end = Note::End {
            job: JobId(1),
            result: JobResult {
                real_ms: 95,
                user_ms: 12,
                sys_ms: 15,
                page_faults: 1686,
                out_uncompressed: 1104,
                ..JobResult::default()
            },
            worker: Some(Text::from("alpha")),
        };
        assert_eq!(
            text(&end),
            "END 1 status=0 in=0(0%) out=1104(0%) real=95 user=12 sys=15 pfaults=1686 server=alpha"
        );
    }

    #[test]
    fn a_name_cannot_forge_a_line() {
        let note = Note::NotTheServer { job: JobId(1) };
        assert_eq!(text(&note), "the server isn't the same for job 1");
        let file = Note::LocalBegin {
            file: Text::from("a\nremove daemon b"),
            client: ClientId(1),
            full: false,
        };
        assert_eq!(text(&file), "handle_local_job a?remove daemon b 1");
    }
}
