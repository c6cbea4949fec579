//! A run as a picture: quantiles by second on a logarithmic scale, failures, and the marks.

use std::error::Error;
use std::path::Path;

use plotters::prelude::*;

use super::tally::Tally;

const SIZE: (u32, u32) = (960, 440);
const FONT: (&str, u32) = ("sans-serif", 14);
/// The quantiles that are drawn.
const DRAWN: [(&str, f64, RGBColor); 3] =
    [("p50", 0.5, GREEN), ("p99", 0.99, BLUE), ("max", 1.0, BLACK)];

/// Writes an SVG.
///
/// # Errors
/// The file cannot be written.
pub(crate) fn svg(tally: &Tally, title: &str, path: &Path) -> Result<(), Box<dyn Error>> {
    let mut text = String::new();
    draw(tally, title, SVGBackend::with_string(&mut text, SIZE).into_drawing_area())?;
    Ok(std::fs::write(path, text)?)
}

fn draw<B: DrawingBackend>(
    tally: &Tally,
    title: &str,
    area: DrawingArea<B, plotters::coord::Shift>,
) -> Result<(), Box<dyn Error>>
where
    B::ErrorType: 'static,
{
    let end = tally.seconds().last().map_or(1.0, |(second, _)| second as f64 + 1.0);
    let times = |quantile| tally.seconds().map(move |(at, span)| (at, span.quantile_ms(quantile)));
    let most = times(1.0).map(|(_, ms)| ms).fold(1.0, f64::max) * 2.0;
    let least = times(0.5).map(|(_, ms)| ms).fold(1.0, f64::min) / 2.0;
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption(title, FONT)
        .margin(12)
        .x_label_area_size(32)
        .y_label_area_size(64)
        .build_cartesian_2d(0.0..end, (least..most).log_scale())?;
    chart
        .configure_mesh()
        .x_desc("s from the start, by when reads were due; red: some failed")
        .y_desc("ms")
        .label_style(FONT)
        .draw()?;
    let failed = tally.seconds().filter(|(_, span)| span.failed() > 0).map(|(at, _)| at as f64);
    chart.draw_series(
        failed.map(|at| Rectangle::new([(at, least), (at + 1.0, most)], RED.mix(0.25).filled())),
    )?;
    for (name, quantile, colour) in DRAWN {
        let points = times(quantile).map(|(at, ms)| (at as f64 + 0.5, ms.max(least)));
        chart
            .draw_series(LineSeries::new(points, &colour))?
            .label(name)
            .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 16, y)], colour));
    }
    let marks = tally.marks().map(|us| us as f64 / 1e6);
    chart.draw_series(
        marks.map(|at| PathElement::new(vec![(at, least), (at, most)], RED.stroke_width(1))),
    )?;
    chart
        .configure_series_labels()
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK)
        .label_font(FONT)
        .draw()?;
    area.present()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::tally::Done;

    #[test]
    fn a_picture_has_every_line_and_whatever_failed() {
        let mut tally = Tally::new(vec![1_000_000]).unwrap();
        for second in 0..3 {
            let outcome =
                if second == 1 { Err("refused".into()) } else { Ok(("local".into(), "us".into())) };
            let due_us = second * 1_000_000;
            tally.add(Done { due_us, end_us: due_us + 900, outcome, rerouted: false });
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run.svg");
        svg(&tally, "a <title>", &path).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("<svg") && text.contains("a &lt;title&gt;"), "{text}");
        assert!(text.matches("<polyline").count() >= 4, "{text}");
        assert_eq!(text.matches("fill=\"#FF0000\"").count(), 1, "{text}");
        assert!(svg(&tally, "", Path::new("/nowhere/at/all.svg")).is_err());
        svg(&Tally::new(Vec::new()).unwrap(), "nothing", &path).unwrap();
    }
}
