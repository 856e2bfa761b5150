//! What a misbehaving agent sends, instead of what it was asked for.

/// How an agent misbehaves. Streams keep to it from their next document on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mischief {
    /// Not at all.
    #[default]
    None,
    /// The document ends in its middle, though its length says otherwise: the length is that of
    /// the half.
    CutDocument,
    /// The connection ends in the middle of a document.
    CutConnection,
    /// A document is announced as 1 GB long, and sent.
    Gigabyte,
    /// A document that claims to be short and goes on for 1 GB.
    GigabyteUnannounced,
    /// A document type with entities that grow to 1 GB.
    EntityBomb,
    /// The length of a document is that of half of it.
    LyingLength,
    /// A web page.
    Garbage,
    /// The stream stays open and is silent.
    Silent,
    /// Each document of a stream is sent twice.
    Twice,
    /// Each other document of a stream is left out.
    Skip,
}

impl Mischief {
    /// The document as it is sent.
    pub(super) fn spoil(self, document: String) -> String {
        match self {
            Self::CutDocument => {
                let mut half = document.len() / 2;
                while !document.is_char_boundary(half) {
                    half -= 1;
                }
                document[..half].to_owned()
            }
            Self::EntityBomb => {
                let mut bomb =
                    String::from("<?xml version=\"1.0\"?><!DOCTYPE m [<!ENTITY a0 \"ha\">");
                for level in 1..30 {
                    let before = level - 1;
                    bomb += &format!("<!ENTITY a{level} \"&a{before};&a{before};\">");
                }
                let rest = document.split_once("?>").map_or(&*document, |(_, rest)| rest);
                bomb + "]>" + &rest.replacen("sender=\"", "sender=\"&a29;", 1)
            }
            Self::Garbage => "<!doctype html><html><body>It works!</body></html>".into(),
            _ => document,
        }
    }
}
