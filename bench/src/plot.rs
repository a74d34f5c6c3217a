//! The plots of docs/benchmarks.md.

use std::error::Error;
use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;

use crate::measure::{Series, Spread};
use crate::{CONNTRACK, EMPTY, FTPTRACK, NONE, RUN, WATCH, live, rate, scale, transfer};

/// One picture.
pub(crate) struct Plot {
    /// The series of which part of the page it shows.
    pub(crate) part: &'static str,
    /// Its file, without `.svg`.
    pub(crate) file: &'static str,
    pub(crate) title: &'static str,
    kind: Kind,
}

enum Kind {
    /// Nanoseconds over the empty program.
    Packets,
    /// The same of each packet of a transfer.
    Transfer,
    /// In relation to no filter: throughput, and processor time.
    Bulk,
    /// In relation to no filter: transfers and sessions a second.
    Rate,
    /// Nanoseconds by how many flows there are.
    Flows,
}

pub(crate) const PLOTS: [Plot; 5] = [
    Plot {
        part: "packet",
        file: "packet",
        title: "ns that ftptrack takes more than an empty program",
        kind: Kind::Packets,
    },
    Plot {
        part: transfer::PACKETS,
        file: "transfer",
        title: "ns of a transfer that ftptrack takes more than an empty program, live, by packet",
        kind: Kind::Transfer,
    },
    Plot { part: "bulk", file: "bulk", title: "Large files, no filter = 1", kind: Kind::Bulk },
    Plot { part: "rate", file: "rate", title: "Transfers and sessions a second, no filter = 1", kind: Kind::Rate },
    Plot { part: "live", file: "flows", title: "ns more than without a filter, by live flows", kind: Kind::Flows },
];

type Result<T> = std::result::Result<T, Box<dyn Error>>;
type Canvas<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Colours that differ for everybody (Okabe and Ito).
fn colour(filter: &str) -> RGBColor {
    match filter {
        EMPTY => RGBColor(0x99, 0x99, 0x99),
        CONNTRACK => RGBColor(0xd5, 0x5e, 0x00),
        WATCH => RGBColor(0x56, 0xb4, 0xe9),
        RUN => RGBColor(0xcc, 0x79, 0xa7),
        _ => RGBColor(0x00, 0x72, 0xb2),
    }
}

/// One group of bars: what they are, and a bar for each filter.
type Bars = (String, Vec<(&'static str, Spread)>);

/// Draws all that there are numbers for.
pub(crate) fn all(series: &[Series], directory: &Path) -> Result<()> {
    std::fs::create_dir_all(directory)?;
    for plot in &PLOTS {
        let of_part = series.iter().filter(|series| series.part == plot.part);
        let file = directory.join(format!("{}.svg", plot.file));
        let groups: Vec<Bars> = match plot.kind {
            Kind::Transfer => of_part.filter_map(over_empty).collect(),
            // Long text is a matter of bytes: next to it, nothing else would be seen.
            Kind::Packets => {
                of_part.filter(|series| !series.what.starts_with("1,400 bytes")).filter_map(over_empty).collect()
            }
            Kind::Bulk => of_part.map(to_none).collect(),
            Kind::Rate => of_part.filter(|series| series.unit == rate::RATE).map(to_none).collect(),
            Kind::Flows => {
                lines(&file, plot.title, series)?;
                continue;
            }
        };
        bars(&file, plot.title, &groups)?;
    }
    Ok(())
}

fn over_empty(series: &Series) -> Option<Bars> {
    Some((series.what.clone(), vec![(FTPTRACK, series.over(FTPTRACK, EMPTY)?)]))
}

fn to_none(series: &Series) -> Bars {
    let of = |filter| series.ratio(filter, NONE).map(|ratio| (filter, ratio));
    (series.what.clone(), [EMPTY, CONNTRACK, FTPTRACK, WATCH, RUN].into_iter().filter_map(of).collect())
}

/// Room for what the bars are, and for their numbers.
const LEFT: i32 = 330;
const RIGHT: i32 = 60;
const WIDTH: u32 = 860;
const TOP: i32 = 62;
const BAR: i32 = 12;

fn bars(file: &Path, title: &str, groups: &[Bars]) -> Result<()> {
    let rows: usize = groups.iter().map(|(_, bars)| bars.len()).sum();
    let height = TOP + i32::try_from(rows)? * BAR + i32::try_from(groups.len())? * BAR;
    let filters: Vec<_> = groups.first().iter().flat_map(|(_, bars)| bars).map(|(filter, _)| *filter).collect();
    let canvas = canvas(file, title, &filters, height.cast_unsigned())?;
    let most = groups.iter().flat_map(|(_, bars)| bars).map(|(_, spread)| spread.high).fold(f64::EPSILON, f64::max);
    let width = f64::from(WIDTH.cast_signed() - LEFT - RIGHT);
    let place = |value: f64| LEFT + (value.max(0.0) / most * width) as i32;
    let small = ("sans-serif", 12).into_font();
    if filters.len() > 1 {
        // No filter.
        canvas.draw(&PathElement::new([(place(1.0), TOP - 6), (place(1.0), height)], colour(EMPTY)))?;
    }
    let mut y = TOP;
    for (what, bars) in groups {
        canvas.draw(&Text::new(what.clone(), (10, y), small.clone()))?;
        for (filter, spread) in bars {
            let filled = colour(filter).filled();
            canvas.draw(&Rectangle::new([(LEFT, y + 1), (place(spread.median), y + BAR - 2)], filled))?;
            // The middle half.
            let middle = y + BAR / 2 - 1;
            canvas.draw(&PathElement::new([(place(spread.low), middle), (place(spread.high), middle)], BLACK))?;
            let number = if most < 10.0 { format!("{:.3}", spread.median) } else { format!("{:.0}", spread.median) };
            canvas.draw(&Text::new(number, (place(spread.high) + 4, y), small.clone()))?;
            y += BAR;
        }
        y += BAR;
    }
    canvas.present()?;
    Ok(())
}

fn canvas<'a>(file: &'a Path, title: &str, filters: &[&str], height: u32) -> Result<Canvas<'a>> {
    let canvas = SVGBackend::new(file, (WIDTH, height)).into_drawing_area();
    canvas.fill(&WHITE)?;
    canvas.draw(&Text::new(title.to_owned(), (10, 8), ("sans-serif", 16).into_font()))?;
    for (at, filter) in filters.iter().enumerate() {
        let x = 10 + 150 * i32::try_from(at)?;
        let name = match *filter {
            EMPTY => "an empty program",
            CONNTRACK => "nf_conntrack_ftp",
            WATCH => "ftptrack watch",
            RUN => "ftptrack run",
            other => other,
        };
        canvas.draw(&Rectangle::new([(x, 34), (x + 12, 46)], colour(filter).filled()))?;
        canvas.draw(&Text::new(name, (x + 18, 34), ("sans-serif", 12).into_font()))?;
    }
    Ok(canvas)
}

/// What a packet takes more with a filter than without, by the number of flows.
fn lines(file: &Path, title: &str, series: &[Series]) -> Result<()> {
    const COUNTS: [u32; 4] = [1, 1_000, 100_000, 1_000_000];
    let found = |filter: &'static str| {
        let over = move |count: u32| {
            let series = series.iter().find(|series| series.what == live::data_name(count))?;
            Some((f64::from(count), series.over(filter, NONE)?))
        };
        COUNTS.into_iter().filter_map(over).collect::<Vec<_>>()
    };
    let all = [EMPTY, CONNTRACK, FTPTRACK].map(|filter| (filter, found(filter)));
    let most = all.iter().flat_map(|(_, points)| points).map(|(_, spread)| spread.high).fold(1.0, f64::max);
    let least = all.iter().flat_map(|(_, points)| points).map(|(_, spread)| spread.low).fold(0.0, f64::min);
    let canvas = canvas(file, title, &[EMPTY, CONNTRACK, FTPTRACK], 420)?;
    let below = canvas.margin(TOP, 10, 10, 40);
    let mut chart = ChartBuilder::on(&below)
        .x_label_area_size(36)
        .y_label_area_size(56)
        .build_cartesian_2d((1.0..1e6).log_scale(), least..most * 1.05)?;
    let count = |count: &f64| scale::grouped(*count as u32);
    chart.configure_mesh().max_light_lines(0).x_desc("live flows").y_desc("ns").x_label_formatter(&count).draw()?;
    for (filter, points) in &all {
        let middle = points.iter().map(|(count, spread)| (*count, spread.median));
        chart.draw_series(LineSeries::new(middle, colour(filter).stroke_width(2)))?;
        chart.draw_series(points.iter().map(|(count, spread)| {
            PathElement::new([(*count, spread.low), (*count, spread.high)], colour(filter).stroke_width(4))
        }))?;
    }
    canvas.present()?;
    Ok(())
}
