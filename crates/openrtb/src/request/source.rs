use crate::Malformed;
use crate::json::{FromObject, Reader};

/// Who is behind the request (3.2.2).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Source<'a> {
    /// `true`: someone further up decides the sale.
    pub fd: Option<bool>,
    pub tid: Option<&'a str>,
    pub pchain: Option<&'a str>,
    /// `ext.schain` read too.
    pub schain: Option<SupplyChain<'a>>,
}

/// The sellers between publisher and us (3.2.25).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SupplyChain<'a> {
    /// All nodes back to the owner of the inventory are there.
    pub complete: bool,
    pub ver: Option<&'a str>,
    /// The first is the publisher's own.
    pub nodes: &'a [SupplyChainNode<'a>],
}

/// One seller (3.2.26).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SupplyChainNode<'a> {
    /// The advertising system's domain, as in ads.txt.
    pub asi: Option<&'a str>,
    /// The seller's id in it.
    pub sid: Option<&'a str>,
    pub rid: Option<&'a str>,
    /// Takes part in the payment.
    pub hp: Option<bool>,
}

impl<'a> FromObject<'a> for Source<'a> {
    fn from_object(json: &mut Reader<'a>) -> Result<Self, Malformed> {
        let mut source = Self::default();
        let mut ext_schain = None;
        json.members(|json, key| {
            match key {
                b"fd" => source.fd = json.flag()?,
                b"tid" => source.tid = json.text()?,
                b"pchain" => source.pchain = json.text()?,
                b"schain" => source.schain = json.object()?,
                b"ext" => {
                    json.members(|json, key| {
                        match key {
                            b"schain" => ext_schain = json.object()?,
                            _ => json.skip()?,
                        }
                        Ok(())
                    })?;
                }
                _ => json.skip()?,
            }
            Ok(())
        })?;
        source.schain = source.schain.or(ext_schain);
        Ok(source)
    }
}

impl<'a> FromObject<'a> for SupplyChain<'a> {
    fn from_object(json: &mut Reader<'a>) -> Result<Self, Malformed> {
        let mut chain = Self::default();
        json.members(|json, key| {
            match key {
                b"complete" => chain.complete = json.flag()?.unwrap_or_default(),
                b"ver" => chain.ver = json.text()?,
                b"nodes" => chain.nodes = json.objects()?,
                _ => json.skip()?,
            }
            Ok(())
        })?;
        Ok(chain)
    }
}

impl<'a> FromObject<'a> for SupplyChainNode<'a> {
    fn from_object(json: &mut Reader<'a>) -> Result<Self, Malformed> {
        let mut node = Self::default();
        json.members(|json, key| {
            match key {
                b"asi" => node.asi = json.text()?,
                b"sid" => node.sid = json.text()?,
                b"rid" => node.rid = json.text()?,
                b"hp" => node.hp = json.flag()?,
                _ => json.skip()?,
            }
            Ok(())
        })?;
        Ok(node)
    }
}
