//! How bytes and names of a snapshot are written in its head, which is JSON.

pub(super) mod arch_name {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use threaddump_arch::Arch;

    pub(in crate::snapshot) fn serialize<S: Serializer>(
        arch: &Arch,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(arch.name())
    }

    pub(in crate::snapshot) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Arch, D::Error> {
        let name = String::deserialize(deserializer)?;
        let arch = Arch::from_name(&name);
        arch.ok_or_else(|| D::Error::custom(format!("unknown architecture {name:?}")))
    }
}

/// Bytes from the target as text with `\xNN` for what is not UTF-8, so that nothing is lost.
pub(super) mod byte_text {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(in crate::snapshot) fn serialize<S: Serializer>(
        bytes: &[u8],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::encode_bytes(bytes))
    }

    pub(in crate::snapshot) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        super::decode_bytes(&text).ok_or_else(|| D::Error::custom("bad escape in a byte string"))
    }
}

pub(super) mod byte_text_option {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    pub(in crate::snapshot) fn serialize<S: Serializer>(
        bytes: &Option<Vec<u8>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        bytes.as_deref().map(super::encode_bytes).serialize(serializer)
    }

    pub(in crate::snapshot) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Vec<u8>>, D::Error> {
        let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
        super::decode_bytes(&text).map(Some).ok_or_else(|| D::Error::custom("bad escape in a byte string"))
    }
}

pub(super) mod byte_text_list {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(in crate::snapshot) fn serialize<S: Serializer>(
        list: &[Vec<u8>],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(list.iter().map(|bytes| super::encode_bytes(bytes)))
    }

    pub(in crate::snapshot) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<Vec<u8>>, D::Error> {
        let list = Vec::<String>::deserialize(deserializer)?;
        let decoded: Option<_> = list.iter().map(|text| super::decode_bytes(text)).collect();
        decoded.ok_or_else(|| D::Error::custom("bad escape in a byte string"))
    }
}

pub(super) mod hex_option {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    pub(in crate::snapshot) fn serialize<S: Serializer>(
        bytes: &Option<Vec<u8>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        bytes.as_deref().map(super::hex).serialize(serializer)
    }

    pub(in crate::snapshot) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Vec<u8>>, D::Error> {
        let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
        super::unhex(&text).map(Some).ok_or_else(|| D::Error::custom("bad hexadecimal digits"))
    }
}

/// Lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

/// Bytes as text: UTF-8 as it is, a backslash doubled, other bytes as `\xNN`. [`decode_bytes`] is
/// the inverse.
pub fn encode_bytes(bytes: &[u8]) -> String {
    use std::fmt::Write;
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(&chunk.valid().replace('\\', "\\\\"));
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

/// The bytes that [`encode_bytes`] was given.
pub fn decode_bytes(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        match (first, after) {
            (b'\\', [b'\\', after @ ..]) => {
                bytes.push(b'\\');
                rest = after;
            }
            (b'\\', [b'x', high, low, after @ ..]) => {
                let digits = [*high, *low];
                bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
                rest = after;
            }
            (b'\\', _) => return None,
            _ => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    Some(bytes)
}
