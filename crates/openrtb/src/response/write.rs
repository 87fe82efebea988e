use std::fmt;

use super::{Bid, BidDsa, BidResponse, SeatBid};
use crate::decimal::{write_integer, write_micros};
use crate::json::plain_len;
use crate::request::DsaTransparency;

/// Appends `response` as JSON to `out`, allocating only when `out` has to grow.
pub fn write_response(response: &BidResponse<'_>, out: &mut Vec<u8>) {
    let mut object = Object::open(out);
    object.text("id", Some(response.id));
    if !response.seatbid.is_empty() {
        object.array("seatbid", response.seatbid, write_seat_bid);
    }
    object.text("bidid", response.bidid);
    object.text("cur", response.cur);
    object.number("nbr", response.nbr);
    object.close();
}

fn write_seat_bid(seat_bid: &SeatBid<'_>, out: &mut Vec<u8>) {
    let mut object = Object::open(out);
    object.array("bid", seat_bid.bid, write_bid);
    object.text("seat", seat_bid.seat);
    object.close();
}

fn write_bid(bid: &Bid<'_>, out: &mut Vec<u8>) {
    let mut object = Object::open(out);
    object.text("id", Some(bid.id));
    object.text("impid", Some(bid.impid));
    object.micros("price", bid.price_micros);
    object.pieces("nurl", bid.nurl);
    object.pieces("burl", bid.burl);
    object.pieces("lurl", bid.lurl);
    object.pieces("adm", bid.adm);
    object.text("adid", bid.adid);
    object.texts("adomain", bid.adomain);
    object.text("bundle", bid.bundle);
    object.text("iurl", bid.iurl);
    object.text("cid", bid.cid);
    object.text("crid", bid.crid);
    object.text("tactic", bid.tactic);
    object.texts("cat", bid.cat);
    object.number("cattax", bid.cattax);
    object.numbers("attr", bid.attr);
    object.numbers("apis", bid.apis);
    object.number("protocol", bid.protocol);
    object.number("qagmediarating", bid.qagmediarating);
    object.text("language", bid.language);
    object.text("dealid", bid.dealid);
    object.number("w", bid.w);
    object.number("h", bid.h);
    object.number("dur", bid.dur);
    object.number("slotinpod", bid.slotinpod);
    object.number("mtype", bid.mtype);
    object.number("exp", bid.exp);
    if let Some(dsa) = &bid.dsa {
        let mut ext = Object::open(object.value("ext"));
        write_dsa(dsa, ext.value("dsa"));
        ext.close();
    }
    object.close();
}

fn write_dsa(dsa: &BidDsa<'_>, out: &mut Vec<u8>) {
    let mut object = Object::open(out);
    object.text("behalf", dsa.behalf);
    object.text("paid", dsa.paid);
    if !dsa.transparency.is_empty() {
        object.array("transparency", dsa.transparency, write_transparency);
    }
    object.number("adrender", dsa.adrender);
    object.close();
}

fn write_transparency(transparency: &DsaTransparency<'_>, out: &mut Vec<u8>) {
    let mut object = Object::open(out);
    object.text("domain", transparency.domain);
    object.numbers("dsaparams", transparency.dsaparams);
    object.close();
}

/// Writes one JSON object, member by member; absent members are left out.
struct Object<'v> {
    out: &'v mut Vec<u8>,
    is_empty: bool,
}

impl<'v> Object<'v> {
    fn open(out: &'v mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, is_empty: true }
    }

    fn close(self) {
        self.out.push(b'}');
    }

    /// Writes the key, and gives where its value is to be written.
    fn value(&mut self, key: &str) -> &mut Vec<u8> {
        if !self.is_empty {
            self.out.push(b',');
        }
        self.is_empty = false;
        self.out.push(b'"');
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.out
    }

    fn text(&mut self, key: &str, text: Option<&str>) {
        if let Some(text) = text {
            write_text(&[text], self.value(key));
        }
    }

    /// One text from several pieces.
    fn pieces(&mut self, key: &str, pieces: &[&str]) {
        if !pieces.is_empty() {
            write_text(pieces, self.value(key));
        }
    }

    fn number(&mut self, key: &str, number: Option<impl Into<i64>>) {
        if let Some(number) = number {
            write_integer(number.into(), self.value(key));
        }
    }

    fn micros(&mut self, key: &str, micros: i64) {
        write_micros(micros, self.value(key));
    }

    fn texts(&mut self, key: &str, texts: &[&str]) {
        if !texts.is_empty() {
            self.array(key, texts, |text, out| write_text(&[text], out));
        }
    }

    fn numbers(&mut self, key: &str, numbers: &[u16]) {
        if !numbers.is_empty() {
            self.array(key, numbers, |&number, out| write_integer(i64::from(number), out));
        }
    }

    fn array<T>(&mut self, key: &str, items: &[T], write: impl Fn(&T, &mut Vec<u8>)) {
        let out = self.value(key);
        out.push(b'[');
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            write(item, out);
        }
        out.push(b']');
    }
}

fn write_text(pieces: &[&str], out: &mut Vec<u8>) {
    out.push(b'"');
    let mut text = JsonText(out);
    for piece in pieces {
        text.push(piece);
    }
    out.push(b'"');
}

/// Appends text to what is inside the quotes of a JSON string, escaping what has to be. Macros such as
/// `${AUCTION_PRICE}` pass unchanged. The quotes are the caller's.
#[derive(Debug)]
pub struct JsonText<'v>(pub &'v mut Vec<u8>);

impl JsonText<'_> {
    /// Appends `text`.
    pub fn push(&mut self, text: &str) {
        let mut rest = text.as_bytes();
        loop {
            let (plain, special) = rest.split_at(plain_len(rest));
            self.0.extend_from_slice(plain);
            let Some((&byte, after)) = special.split_first() else {
                return;
            };
            self.push_escape(byte);
            rest = after;
        }
    }

    fn push_escape(&mut self, byte: u8) {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        match byte {
            b'"' | b'\\' => self.0.extend_from_slice(&[b'\\', byte]),
            b'\n' => self.0.extend_from_slice(b"\\n"),
            b'\r' => self.0.extend_from_slice(b"\\r"),
            b'\t' => self.0.extend_from_slice(b"\\t"),
            _ => {
                self.0.extend_from_slice(b"\\u00");
                self.0.push(HEX[usize::from(byte >> 4)]);
                self.0.push(HEX[usize::from(byte & 0xf)]);
            }
        }
    }
}

impl fmt::Write for JsonText<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text);
        Ok(())
    }
}
