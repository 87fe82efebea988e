//! An upload by lines (NDJSON), read as it comes: never more than a piece of it is in memory.

use super::piece::{Op, Piece, line};
use super::{LONGEST_BODY_BYTES, PATIENCE, Upload, slow, too_long};
use crate::error::ApiError;
use axum::body::Body;
use domain::mistake::Mistake;
use futures_util::StreamExt;
use std::collections::HashMap;

/// Written at once.
const PIECE_LINES: usize = 2_000;
const LONGEST_LINE_BYTES: usize = 2_048;

pub(super) async fn read(body: Body, upload: &mut Upload<'_>) -> Result<(), ApiError> {
    let mut lines = Lines::default();
    let mut stream = body.into_data_stream();
    loop {
        let next = tokio::time::timeout(PATIENCE, stream.next());
        let Some(chunk) = next.await.map_err(|_elapsed| slow())? else {
            break;
        };
        let chunk = chunk.map_err(|_| too_long(LONGEST_BODY_BYTES))?;
        let mut rest = &chunk[..];
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let (head, tail) = rest.split_at(end);
            lines.extend(head);
            rest = &tail[1..];
            lines.end(upload).await?;
        }
        lines.extend(rest);
    }
    if !lines.current.is_empty() || lines.is_too_long {
        lines.end(upload).await?;
    }
    lines.flush(upload).await
}

#[derive(Default)]
struct Lines {
    /// Of the line at hand, as much as a line may have.
    current: Vec<u8>,
    is_too_long: bool,
    number: usize,
    /// Of the piece at hand.
    taken: HashMap<String, Op>,
    in_piece: usize,
    raw: Vec<u8>,
}

impl Lines {
    fn extend(&mut self, bytes: &[u8]) {
        let room = LONGEST_LINE_BYTES - self.current.len();
        self.is_too_long |= bytes.len() > room;
        self.current.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    async fn end(&mut self, upload: &mut Upload<'_>) -> Result<(), ApiError> {
        let is_blank = self.current.iter().all(u8::is_ascii_whitespace);
        let read = if self.is_too_long {
            Err(vec![Mistake {
                pointer: String::new(),
                code: "too_long",
                message: format!("a line has at most {LONGEST_LINE_BYTES} bytes"),
            }])
        } else {
            line(&self.current)
        };
        match read {
            _ if is_blank && !self.is_too_long => {}
            Ok((key, op)) => {
                self.taken.insert(key, op);
            }
            Err(mistakes) => upload.refuse(self.number, mistakes),
        }
        self.raw.extend_from_slice(&self.current);
        self.raw.push(b'\n');
        self.current.clear();
        self.is_too_long = false;
        self.number += 1;
        self.in_piece += 1;
        if self.in_piece == PIECE_LINES {
            self.flush(upload).await?;
        }
        Ok(())
    }

    async fn flush(&mut self, upload: &mut Upload<'_>) -> Result<(), ApiError> {
        upload.take_in(&self.raw);
        self.raw.clear();
        self.in_piece = 0;
        upload
            .apply(Piece::of_lines(std::mem::take(&mut self.taken)))
            .await
    }
}
