//! The state as a picture. The lists below each other, however high the terminal is.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Cell, Paragraph, Row, Table};

use super::state::{Page, State};
use crate::escape;
use crate::sys::clock;

mod amounts;
mod columns;
mod page;
mod style;

use amounts::time;
use columns::Columns;
use style::Style;

/// Draws it.
pub fn draw(frame: &mut Frame<'_>, state: &mut State) {
    let rows = Layout::vertical([Constraint::Length(1), Constraint::Fill(1), Constraint::Length(1)]);
    let [head, body, foot] = rows.areas(frame.area());
    let style = Style(state.theme);
    frame.render_widget(Paragraph::new(header(state, style)), head);
    match &state.page {
        Page::Lists => lists(frame, body, state, style),
        Page::Conversation { control, up } => page::conversation(frame, body, state, (control, *up), style),
        Page::Help => page::help(frame, body, style),
    }
    frame.render_widget(Paragraph::new(footer(state, style)), foot);
}

fn header(state: &State, style: Style) -> Line<'static> {
    let snapshot = &state.snapshot;
    let mut parts = vec![Span::styled("ftptrack", style.strong())];
    for (name, interface) in &snapshot.interfaces {
        let shown = if *interface == "attached" { style.plain() } else { style.alarm() };
        let what = if *interface == "attached" { "guarded" } else { interface };
        parts.push(Span::styled(format!("  {} {what}", escape::text(name)), shown));
    }
    parts.push(Span::raw(format!("  {} denied", snapshot.denied)));
    if !snapshot.accounting && state.denied_before.is_some() {
        parts.push(Span::raw("  bytes are not counted"));
    }
    if snapshot.missed > 0 {
        parts.push(Span::styled(format!("  {} events missed", snapshot.missed), style.alarm()));
    }
    if state.paused {
        parts.push(Span::styled("  PAUSED", style.alarm()));
    }
    let now = clock::wall(if snapshot.time == 0 { clock::monotonic() } else { snapshot.time });
    parts.push(Span::raw(format!("  {}", &now[..8])));
    Line::from(parts)
}

fn footer(state: &State, style: Style) -> Line<'static> {
    if state.writes_filter {
        return Line::from(format!("filter: {}_   Enter keep   Esc drop", escape::text(&state.filter)));
    }
    if let Some(trouble) = &state.trouble {
        return Line::styled(trouble.clone(), style.alarm());
    }
    if let Some(blind) = &state.snapshot.blind {
        return Line::styled(format!("what happens is not shown: {blind}"), style.alarm());
    }
    let filter = if state.filter.is_empty() { String::new() } else { format!("   [{}]", escape::text(&state.filter)) };
    Line::styled(
        match state.page {
            Page::Lists => {
                format!("q quit  p pause  s sort  r reverse  / filter  Tab list  Enter session  ? help{filter}")
            }
            Page::Conversation { .. } => "q quit  p pause  Esc back  Up Down scroll  ? help".to_owned(),
            Page::Help => "q quit  Esc back".to_owned(),
        },
        style.dim(),
    )
}

fn lists(frame: &mut Frame<'_>, area: Rect, state: &State, style: Style) {
    let shares = Layout::vertical([3, 3, 2, 3].map(Constraint::Fill));
    let [sessions, transfers, expectations, denials] = shares.areas(area);
    list(frame, sessions, state, style, &columns::SESSIONS);
    list(frame, transfers, state, style, &columns::TRANSFERS);
    list(frame, expectations, state, style, &columns::EXPECTATIONS);
    list(frame, denials, state, style, &columns::DENIALS);
}

fn list(frame: &mut Frame<'_>, area: Rect, state: &State, style: Style, columns: &Columns) {
    let Columns { list, name, header, give_way, .. } = columns;
    let [title, body] = Layout::vertical([Constraint::Length(1), Constraint::Fill(1)]).areas(area);
    let (choice, has_focus, length) = (state.choice(*list), state.focus == *list, state.length(*list));
    let turned = if choice.reversed { ", reversed" } else { "" };
    let text = format!("{name} {length}  ({}{turned})", state.order(*list));
    // A bar as wide as the terminal, so that the lists are apart without any colour.
    let bar = format!("{text:<width$}", width = usize::from(title.width));
    frame.render_widget(Paragraph::new(Line::styled(bar, style.title(has_focus))), title);

    // Of a hundred thousand lines only those are made that are seen.
    let height = usize::from(body.height).saturating_sub(usize::from(!header.is_empty()));
    let first = (choice.line + 1).saturating_sub(height);
    let rows = (columns.rows)(state, first, height);
    let widths = columns::widths(header, &rows, give_way, usize::from(body.width));
    let names = || header.iter().copied().chain(std::iter::repeat(""));
    let lines = rows.into_iter().enumerate().map(|(at, row)| {
        let is_chosen = has_focus && first + at == choice.line;
        let cells = row.into_iter().zip(names()).zip(&widths);
        let cells = cells.map(|((cell, name), width)| Cell::from(columns::fitting(cell, name, *width)));
        Row::new(cells).style(if is_chosen { style.chosen() } else { style.plain() })
    });
    let room = widths.iter().map(|width| Constraint::Length(u16::try_from(*width).unwrap_or(u16::MAX)));
    let mut table = Table::new(lines, room).column_spacing(columns::SPACE as u16);
    if !header.is_empty() {
        table = table.header(Row::new(header.iter().copied()).style(style.dim()));
    }
    frame.render_widget(table, body);
}

/// Whoever logs in chooses the name: no byte of it is to reach the terminal as a command.
fn shown(user: Option<&str>) -> String {
    user.map_or_else(|| "-".to_owned(), escape::text)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
