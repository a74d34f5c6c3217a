//! Colours, or none.

use ratatui::style::{Color, Modifier, Style as Cells};

use crate::top::state::Theme;

/// How things look.
#[derive(Clone, Copy, Debug)]
pub(super) struct Style(pub(super) Theme);

impl Style {
    pub(super) const fn plain(self) -> Cells {
        Cells::new()
    }

    pub(super) const fn strong(self) -> Cells {
        Cells::new().add_modifier(Modifier::BOLD)
    }

    pub(super) const fn dim(self) -> Cells {
        Cells::new().add_modifier(Modifier::DIM)
    }

    pub(super) const fn alarm(self) -> Cells {
        self.coloured(self.strong(), Color::Red)
    }

    pub(super) const fn title(self, has_focus: bool) -> Cells {
        let title = Cells::new().add_modifier(Modifier::REVERSED);
        if has_focus { self.coloured(title.add_modifier(Modifier::BOLD), Color::Cyan) } else { title }
    }

    pub(super) const fn chosen(self) -> Cells {
        self.coloured(self.strong(), Color::Cyan)
    }

    const fn coloured(self, cells: Cells, colour: Color) -> Cells {
        match self.0 {
            Theme::Colours => cells.fg(colour),
            Theme::Plain => cells,
        }
    }
}
