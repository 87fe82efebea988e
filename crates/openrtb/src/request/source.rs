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
