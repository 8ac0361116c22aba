// SPDX-License-Identifier: MIT
//! Figures as lines on logarithmic axes, in panels that share their axes.

use std::error::Error;
use std::ops::Range;
use std::path::Path;

pub use plotters::chart::SeriesLabelPosition;
use plotters::prelude::*;

/// One arm's points, all of which are above zero.
#[derive(Clone, Debug)]
pub struct Series {
    /// The arm.
    pub name: &'static str,
    /// What stands on the axes.
    pub points: Vec<(f64, f64)>,
}

/// What is compared at once.
#[derive(Clone, Debug)]
pub struct Panel {
    /// What all of it has in common.
    pub title: String,
    /// The arms, at most six.
    pub series: Vec<Series>,
}

/// Colours that people tell apart who see few (Okabe and Ito, "Color universal design", 2008).
const COLOURS: [RGBColor; 6] = [
    RGBColor(0, 0, 0),
    RGBColor(230, 159, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(213, 94, 0),
    RGBColor(0, 114, 178),
];

/// What an axis says, and how it writes a number.
pub type Axis = (&'static str, fn(f64) -> String);

/// What the panels share.
#[derive(Clone)]
pub struct Plot {
    /// The file's name, without `.svg`.
    pub name: &'static str,
    /// Across, and upwards.
    pub axes: [Axis; 2],
    /// Rows and columns of panels.
    pub grid: (usize, usize),
    /// Where in the first panel the arms are named.
    pub legend: SeriesLabelPosition,
}

/// Writes a plot below `dir`.
///
/// # Errors
/// If the file cannot be written, or a panel has no point.
pub fn draw(dir: &Path, plot: &Plot, panels: &[Panel]) -> Result<(), Box<dyn Error>> {
    std::fs::create_dir_all(dir)?;
    let path = dir.join(plot.name).with_extension("svg");
    let &Plot { axes: [x, y], grid: (rows, columns), .. } = plot;
    let [width, height] = [columns, rows].map(u32::try_from);
    let root = SVGBackend::new(&path, (600 * width?, 450 * height?)).into_drawing_area();
    root.fill(&WHITE)?;
    let points = || panels.iter().flat_map(|panel| &panel.series).flat_map(|it| &it.points);
    let (sizes, rates) = (range(points().map(|it| it.0)), range(points().map(|it| it.1)));
    for (number, (area, panel)) in root.split_evenly((rows, columns)).iter().zip(panels).enumerate()
    {
        let mut chart = ChartBuilder::on(area)
            .caption(&panel.title, ("sans-serif", 18))
            .margin(12)
            .x_label_area_size(44)
            .y_label_area_size(64)
            .build_cartesian_2d(sizes.clone().log_scale(), rates.clone().log_scale())?;
        let mut mesh = chart.configure_mesh();
        mesh.x_desc(x.0).y_desc(y.0).light_line_style(TRANSPARENT);
        mesh.x_label_formatter(&|it| x.1(*it)).y_label_formatter(&|it| y.1(*it)).draw()?;
        for (series, colour) in panel.series.iter().zip(COLOURS) {
            // Cascow's lines are the broad ones.
            let style = colour.stroke_width(if series.name.contains("cascow") { 3 } else { 1 });
            let line = LineSeries::new(series.points.iter().copied(), style).point_size(3);
            let drawn = chart.draw_series(line)?.label(series.name);
            drawn.legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
        }
        // Once is enough.
        if number == 0 {
            let mut legend = chart.configure_series_labels();
            legend.position(plot.legend.clone()).border_style(BLACK);
            legend.background_style(WHITE).draw()?;
        }
    }
    root.present()?;
    Ok(())
}

fn range(figures: impl Iterator<Item = f64> + Clone) -> Range<f64> {
    let least = figures.clone().fold(f64::INFINITY, f64::min);
    least * 0.8..figures.fold(0.0, f64::max) * 1.25
}

/// In bytes.
#[must_use]
pub fn size(bytes: f64) -> String {
    rounded(bytes, &[(1e6, " MB"), (1e3, " kB"), (1.0, " B")])
}

/// In nanoseconds.
#[must_use]
pub fn time(nanos: f64) -> String {
    rounded(nanos, &[(1e9, " s"), (1e6, " ms"), (1e3, " µs"), (1.0, " ns")])
}

/// Without a unit.
#[must_use]
pub fn short(figure: f64) -> String {
    rounded(figure, &[(1e6, "M"), (1e3, "k"), (1.0, "")])
}

/// In the first of the units that it has one of, or in the last.
fn rounded(figure: f64, units: &[(f64, &str)]) -> String {
    let unit = units.iter().find(|(unit, _)| figure >= *unit).or(units.last());
    unit.map_or_else(String::new, |(unit, name)| format!("{:.0}{name}", figure / unit))
}
