// SPDX-License-Identifier: MIT
//! The playouts a second of all arms, by the size of a state, for each share that a move changes.

use std::error::Error;
use std::ops::Range;
use std::path::Path;

use plotters::prelude::*;

/// One arm: sizes of states in bytes, and playouts a second.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    pub(crate) name: &'static str,
    pub(crate) points: Vec<(f64, f64)>,
}

/// One share.
#[derive(Clone, Debug)]
pub(crate) struct Panel {
    pub(crate) title: String,
    pub(crate) series: Vec<Series>,
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

/// Writes `crossover.svg` below `dir`. All panels have the same axes.
pub(crate) fn draw(dir: &Path, panels: &[Panel]) -> Result<(), Box<dyn Error>> {
    std::fs::create_dir_all(dir)?;
    let path = dir.join("crossover.svg");
    let root = SVGBackend::new(&path, (1200, 900)).into_drawing_area();
    root.fill(&WHITE)?;
    let points = || panels.iter().flat_map(|panel| &panel.series).flat_map(|it| &it.points);
    let (sizes, rates) = (range(points().map(|it| it.0)), range(points().map(|it| it.1)));
    for (number, (area, panel)) in root.split_evenly((2, 2)).iter().zip(panels).enumerate() {
        let mut chart = ChartBuilder::on(area)
            .caption(&panel.title, ("sans-serif", 18))
            .margin(12)
            .x_label_area_size(44)
            .y_label_area_size(64)
            .build_cartesian_2d(sizes.clone().log_scale(), rates.clone().log_scale())?;
        let mut mesh = chart.configure_mesh();
        mesh.x_desc("size of a state").y_desc("playouts a second").light_line_style(TRANSPARENT);
        mesh.x_label_formatter(&|bytes| size(*bytes)).y_label_formatter(&|rate| short(*rate));
        mesh.draw()?;
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
            legend.position(SeriesLabelPosition::LowerLeft).border_style(BLACK);
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

fn size(bytes: f64) -> String {
    match bytes {
        bytes if bytes >= 1e6 => format!("{:.0} MB", bytes / 1e6),
        bytes if bytes >= 1e3 => format!("{:.0} kB", bytes / 1e3),
        bytes => format!("{bytes:.0} B"),
    }
}

fn short(figure: f64) -> String {
    match figure {
        figure if figure >= 1e6 => format!("{:.0}M", figure / 1e6),
        figure if figure >= 1e3 => format!("{:.0}k", figure / 1e3),
        figure => format!("{figure:.0}"),
    }
}
