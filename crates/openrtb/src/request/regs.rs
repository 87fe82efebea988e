use crate::Malformed;
use crate::json::{FromObject, Reader};

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

impl<'a> FromObject<'a> for Regs<'a> {
    fn from_object(json: &mut Reader<'a>) -> Result<Self, Malformed> {
        let mut regs = Self::default();
        let mut ext = Self::default();
        json.members(|json, key| match key {
            b"ext" => json.members(|json, key| ext.read_member(key, json)).map(drop),
            _ => regs.read_member(key, json),
        })?;
        regs.coppa |= ext.coppa;
        regs.gdpr = regs.gdpr.or(ext.gdpr);
        regs.us_privacy = regs.us_privacy.or(ext.us_privacy);
        regs.gpp = regs.gpp.or(ext.gpp);
        if regs.gpp_sid.is_empty() {
            regs.gpp_sid = ext.gpp_sid;
        }
        regs.dsa = regs.dsa.or(ext.dsa);
        Ok(regs)
    }
}

impl<'a> Regs<'a> {
    fn read_member(&mut self, key: &[u8], json: &mut Reader<'a>) -> Result<(), Malformed> {
        match key {
            b"coppa" => self.coppa = json.flag()?.unwrap_or_default(),
            b"gdpr" => self.gdpr = json.flag()?,
            b"us_privacy" => self.us_privacy = json.text()?,
            b"gpp" => self.gpp = json.text()?,
            b"gpp_sid" => self.gpp_sid = json.integers()?,
            b"dsa" => self.dsa = json.object()?,
            _ => json.skip()?,
        }
        Ok(())
    }
}

impl<'a> FromObject<'a> for Dsa<'a> {
    fn from_object(json: &mut Reader<'a>) -> Result<Self, Malformed> {
        let mut dsa = Self::default();
        json.members(|json, key| {
            match key {
                b"dsarequired" => dsa.dsarequired = json.integer()?,
                b"pubrender" => dsa.pubrender = json.integer()?,
                b"datatopub" => dsa.datatopub = json.integer()?,
                b"transparency" => dsa.transparency = json.objects()?,
                _ => json.skip()?,
            }
            Ok(())
        })?;
        Ok(dsa)
    }
}

impl<'a> FromObject<'a> for DsaTransparency<'a> {
    fn from_object(json: &mut Reader<'a>) -> Result<Self, Malformed> {
        let mut transparency = Self::default();
        json.members(|json, key| {
            match key {
                b"domain" => transparency.domain = json.text()?,
                b"dsaparams" | b"params" => transparency.dsaparams = json.integers()?,
                _ => json.skip()?,
            }
            Ok(())
        })?;
        Ok(transparency)
    }
}
