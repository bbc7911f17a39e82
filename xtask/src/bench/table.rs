//! The table, as it stands in the README: rows of medians, each with its ratio to ours.

use std::fmt;

use super::measure::Sample;

/// One cell.
pub(super) struct Row {
    value: f64,
    unit: &'static str,
}

impl Row {
    /// The median of a sample.
    pub(super) fn time(sample: &Sample) -> Row {
        Row { value: sample.median(), unit: "ms" }
    }

    pub(super) fn kibibytes(value: f64) -> Row {
        Row { value, unit: "KiB" }
    }

    /// How many times over something grew; no ratio of ratios is printed.
    pub(super) fn growth(value: f64) -> Row {
        Row { value, unit: "x" }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.unit {
            "KiB" => write!(f, "{:.0} KiB", self.value),
            "x" => write!(f, "x{:.2}", self.value),
            unit => write!(f, "{:.2} {unit}", self.value),
        }
    }
}

/// A row of times.
pub(super) fn print_times(what: &str, samples: &[Sample]) {
    print(what, &samples.iter().map(Row::time).collect::<Vec<_>>());
}

/// A row: ours first, then each other with how much of it ours is.
pub(super) fn print(what: &str, cells: &[Row]) {
    let Some(ours) = cells.first() else { return };
    let others = cells[1..].iter().map(|cell| match cell.unit {
        "x" => format!(" {cell} |"),
        _ => format!(" {cell} (ours {:.2}x) |", ours.value / cell.value),
    });
    println!("| {what} | {ours} |{}", others.collect::<String>());
}
