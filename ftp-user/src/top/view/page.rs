//! What fills the screen in place of the lists.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::Line;
use ratatui::widgets::Paragraph;

use super::style::Style;
use super::{shown, time};
use crate::top::keys::HELP;
use crate::top::state::{State, control as control_of};

/// One session. Its last line is the lowest, `up` lines are below the picture.
pub(super) fn conversation(
    frame: &mut Frame<'_>,
    area: Rect,
    state: &State,
    (control, up): (&str, usize),
    style: Style,
) {
    let [title, about, body] =
        Layout::vertical([Constraint::Length(1), Constraint::Length(1), Constraint::Fill(1)]).areas(area);
    let (client, server) = control.split_once('-').unwrap_or((control, ""));
    let bar = format!("{:<width$}", format!("Session {client} -> {server}"), width = usize::from(title.width));
    frame.render_widget(Paragraph::new(Line::styled(bar, style.title(true))), title);
    let session = state.snapshot.sessions.iter().find(|row| control_of(row) == control);
    let text = match session {
        Some(row) => {
            let pending = if row.waits_for.is_empty() { "nothing".to_owned() } else { row.waits_for.join(" ") };
            let user = shown(row.user.as_deref());
            format!("user {user}  {}  since {}  pending {pending}", row.shown_state(), time(row.age_seconds))
        }
        None => "it has ended".to_owned(),
    };
    frame.render_widget(Paragraph::new(Line::styled(text, style.dim())), about);
    let lines: Vec<_> = state.talk.of(control).into_iter().flatten().collect();
    if lines.is_empty() {
        let nothing = "nothing was said since this began; what was said before is not known";
        frame.render_widget(Paragraph::new(nothing), body);
        return;
    }
    let end = lines.len().saturating_sub(up);
    let begin = end.saturating_sub(usize::from(body.height));
    let lines: Vec<_> = lines[begin..end].iter().map(|line| Line::raw(line.as_str())).collect();
    frame.render_widget(Paragraph::new(lines), body);
}

/// The keys.
pub(super) fn help(frame: &mut Frame<'_>, area: Rect, style: Style) {
    let [title, body] = Layout::vertical([Constraint::Length(1), Constraint::Fill(1)]).areas(area);
    let bar = format!("{:<width$}", "Keys", width = usize::from(title.width));
    frame.render_widget(Paragraph::new(Line::styled(bar, style.title(true))), title);
    let lines: Vec<_> = HELP.iter().map(|(keys, what)| Line::raw(format!("{keys:<16}{what}"))).collect();
    frame.render_widget(Paragraph::new(lines), body);
}
