//! What a service manager is told (sd_notify(3)): nothing, unless it has set NOTIFY_SOCKET.

use sd_notify::NotifyState;

/// Tells it. Guarding does not depend on being heard.
fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        log::warn!("the service manager can't be told ({error})");
    }
}

/// The filter is in force.
pub fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// How things stand, one line.
pub fn status(status: &str) {
    tell(&[NotifyState::Status(status)]);
}

/// The configuration file is being read again; [`ready`] ends that.
pub fn reloading() {
    // Since systemd 253 it must know when: what came before is none of this reload's.
    let now = NotifyState::monotonic_usec_now().ok();
    tell(&[NotifyState::Reloading].into_iter().chain(now).collect::<Vec<_>>());
}

/// It ends. The filter stays in force.
pub fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("ended: the filter stays attached")]);
}
