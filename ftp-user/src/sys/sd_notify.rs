//! Notifications to a service manager (sd_notify(3)): none, unless it has set NOTIFY_SOCKET.

use sd_notify::NotifyState;

/// Tells it. Guarding does not depend on being heard.
fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        log::warn!("the service manager can't be told ({error})");
    }
}

/// The filter is attached.
pub fn ready(status: &str) {
    notify(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// How things stand, one line.
pub fn status(status: &str) {
    notify(&[NotifyState::Status(status)]);
}

/// The configuration file is being read again; [`ready`] ends that.
pub fn reloading() {
    // Since systemd 253 it must know when: what came before is none of this reload's.
    let now = NotifyState::monotonic_usec_now().ok();
    notify(&[NotifyState::Reloading].into_iter().chain(now).collect::<Vec<_>>());
}

/// It ends. The filter stays attached.
pub fn stopping() {
    notify(&[NotifyState::Stopping, NotifyState::Status("ended: the filter stays attached")]);
}
