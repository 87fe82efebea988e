/// Regulations that apply (3.2.3). Each is read from `ext` too, where 2.5 keeps it. A flag that is
/// neither 0 nor 1 counts as set: when in doubt, the law applies.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Regs<'a> {
    pub coppa: bool,
    /// `None`: unknown.
    pub gdpr: Option<bool>,
    pub us_privacy: Option<&'a str>,
    /// The Global Privacy Platform's string.
    pub gpp: Option<&'a str>,
    /// Its sections that apply.
    pub gpp_sid: &'a [u16],
    /// Digital Services Act (`regs.ext.dsa`).
    pub dsa: Option<Dsa<'a>>,
}

/// What the Digital Services Act asks of a bid.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Dsa<'a> {
    /// 2 and 3: a bid must carry its own `ext.dsa`.
    pub dsarequired: Option<u16>,
    /// 0 the publisher cannot render, 1 may, 2 will.
    pub pubrender: Option<u16>,
    pub datatopub: Option<u16>,
    pub transparency: &'a [DsaTransparency<'a>],
}

/// Who used which data of the user.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DsaTransparency<'a> {
    pub domain: Option<&'a str>,
    pub dsaparams: &'a [u16],
}
