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

    /// The median of a sample of long ones.
    pub(super) fn seconds(sample: &Sample) -> Row {
        Row { value: sample.median() / 1000.0, unit: "s" }
    }

    /// The median of the peaks of resident memory of a sample.
    pub(super) fn peak(sample: &Sample) -> Row {
        Row::mebibytes(sample.peak() / 1024.0)
    }

    pub(super) fn mebibytes(value: f64) -> Row {
        Row { value, unit: "MiB" }
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
            "MiB" => write!(f, "{:.1} MiB", self.value),
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
    print_some(what, &cells.iter().map(Some).collect::<Vec<_>>());
}

/// A row in which some cells are empty, the first is not.
pub(super) fn print_some(what: &str, cells: &[Option<&Row>]) {
    let Some(Some(ours)) = cells.first() else { return };
    let others = cells[1..].iter().map(|cell| match cell {
        None => " |".to_owned(),
        Some(cell) if cell.unit == "x" => format!(" {cell} |"),
        Some(cell) => format!(" {cell} (ours {:.2}x) |", ours.value / cell.value),
    });
    println!("| {what} | {ours} |{}", others.collect::<String>());
}
