//! One measured figure beside its baseline.

use serde::Serialize;
use std::fmt;

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Figure {
    pub bench: &'static str,
    pub figure: &'static str,
    pub value: f64,
    pub unit: &'static str,
    /// The same figure of the bare endpoint, in the same run.
    pub baseline: f64,
    pub ratio: f64,
}

impl Figure {
    pub(crate) fn new(
        bench: &'static str,
        figure: &'static str,
        unit: &'static str,
        value: f64,
        baseline: f64,
    ) -> Self {
        Self {
            bench,
            figure,
            value,
            unit,
            baseline,
            ratio: value / baseline,
        }
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:<8} {:<20} {:>10.1} {:<5} baseline {:>10.1}  ratio {:>6.2}",
            self.bench, self.figure, self.value, self.unit, self.baseline, self.ratio
        )
    }
}
