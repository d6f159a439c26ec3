//! How the daemon is told to stop.

use tokio::sync::watch;

/// How urgently.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Urgency {
    #[default]
    Run,
    Drain,
    Now,
}

/// The caller's end: asks the daemon to stop.
#[derive(Debug)]
pub struct ShutdownTrigger(watch::Sender<Urgency>);

/// The daemon's end.
#[derive(Debug, Clone)]
pub struct Shutdown(watch::Receiver<Urgency>);

/// A fresh pair. Dropping the trigger asks for a stop as [`ShutdownTrigger::stop`] does.
#[must_use]
pub fn shutdown() -> (ShutdownTrigger, Shutdown) {
    let (trigger, shutdown) = watch::channel(Urgency::Run);
    (ShutdownTrigger(trigger), Shutdown(shutdown))
}

impl ShutdownTrigger {
    /// Asks once: running jobs of other machines get time to finish. Asked again: everything ends at once.
    pub fn stop(&self) {
        self.0.send_modify(|urgency| {
            *urgency = match *urgency {
                Urgency::Run => Urgency::Drain,
                Urgency::Drain | Urgency::Now => Urgency::Now,
            }
        });
    }
}

impl Shutdown {
    /// Until the daemon is asked to stop.
    pub(crate) async fn drain(&mut self) {
        self.reached(Urgency::Drain).await;
    }

    /// Until the daemon is asked to stop at once.
    pub(crate) async fn now(&mut self) {
        if self.reached(Urgency::Now).await {
            return;
        }
        // The trigger is gone: nobody can ask a second time.
        std::future::pending().await
    }

    async fn reached(&mut self, wanted: Urgency) -> bool {
        self.0.wait_for(|urgency| *urgency >= wanted).await.is_ok()
    }
}
