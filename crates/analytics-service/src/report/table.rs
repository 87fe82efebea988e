//! Rows as clients read them: JSON objects in the order of their columns, or CSV as RFC 4180 has it.

use super::metric::{Figure, Metric};
use super::request::ReportRequest;
use super::span::{self, Granularity};
use serde::ser::{Serialize, SerializeMap, Serializer};
use storage::report_store::{Dimension, ReportRow, Totals};

/// Columns: the bucket (`hour` or `day`; none in total), the dimensions, the metrics, each as asked for.
pub(super) struct Table {
    columns: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Cell {
    Text(String),
    Figure(Figure),
}

impl Table {
    /// `buckets` are the ones that the rows' indexes mean.
    pub(super) fn of(request: &ReportRequest, buckets: &[(i64, i64)], rows: &[ReportRow]) -> Self {
        let bucket_column = (request.granularity != Granularity::Total).then(|| request.granularity.name());
        let dimensions = request.dimensions.iter().copied().map(Dimension::name);
        let metrics = request.metrics.iter().copied().map(Metric::name);
        let columns = bucket_column
            .into_iter()
            .chain(dimensions)
            .chain(metrics)
            .collect();
        let cells = |row: &ReportRow| {
            let start_ms = buckets.get(row.bucket).map(|(start_ms, _)| *start_ms);
            let bucket =
                start_ms.and_then(|start_ms| span::label(request.granularity, start_ms, &request.zone));
            let texts = bucket
                .into_iter()
                .chain(row.values.iter().cloned())
                .map(Cell::Text);
            let figures = request
                .metrics
                .iter()
                .map(|metric| Cell::Figure(metric.of(&row.totals)));
            texts.chain(figures).collect()
        };
        Self {
            columns,
            rows: rows.iter().map(cells).collect(),
        }
    }

    /// One row of figures alone.
    pub(super) fn totals(metrics: &[Metric], totals: &Totals) -> Self {
        Self {
            columns: metrics.iter().copied().map(Metric::name).collect(),
            rows: vec![
                metrics
                    .iter()
                    .map(|metric| Cell::Figure(metric.of(totals)))
                    .collect(),
            ],
        }
    }

    pub(super) fn rows(&self) -> Vec<TableRow<'_>> {
        self.rows
            .iter()
            .map(|cells| TableRow { table: self, cells })
            .collect()
    }

    /// A header row, then one line a row.
    ///
    /// # Errors
    /// Never in practice: memory takes all that is written.
    pub(super) fn to_csv(&self) -> Result<Vec<u8>, csv::Error> {
        let mut writer = csv::WriterBuilder::new()
            .terminator(csv::Terminator::CRLF)
            .from_writer(Vec::new());
        writer.write_record(&self.columns)?;
        for cells in &self.rows {
            writer.write_record(cells.iter().map(Cell::to_text))?;
        }
        writer.into_inner().map_err(|error| error.into_error().into())
    }
}

/// One row as a JSON object.
pub(super) struct TableRow<'a> {
    table: &'a Table,
    cells: &'a [Cell],
}

impl Serialize for TableRow<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.cells.len()))?;
        for (column, cell) in self.table.columns.iter().zip(self.cells) {
            map.serialize_entry(column, cell)?;
        }
        map.end()
    }
}

impl Serialize for Cell {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Figure(Figure::Whole(number)) => serializer.serialize_i64(*number),
            Self::Figure(Figure::Ratio(millionths)) => serializer.serialize_f64(decimal(*millionths)),
            Self::Figure(Figure::Undefined) => serializer.serialize_none(),
        }
    }
}

impl Cell {
    /// As CSV has it; undefined is empty.
    fn to_text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Figure(Figure::Whole(number)) => number.to_string(),
            Self::Figure(Figure::Ratio(millionths)) => format!("{:.6}", decimal(*millionths)),
            Self::Figure(Figure::Undefined) => String::new(),
        }
    }
}

/// JSON has no integers of millionths; the nearest double prints as the same six decimals.
#[expect(
    clippy::cast_precision_loss,
    reason = "ratios are shown, and are far below 2^53 millionths"
)]
fn decimal(millionths: i64) -> f64 {
    millionths as f64 / 1e6
}
