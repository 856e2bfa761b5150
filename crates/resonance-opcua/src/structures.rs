//! How structures from a peer are decoded: never with more memory than what arrived is worth.
//!
//! The stack's own loaders take a length at its word: the value rank of an Argument becomes that
//! many array dimensions, and a body it does not know becomes a buffer of the length announced. A
//! process that is refused such memory aborts (docs/adr/0003-opcua-server-stack.md).

use std::io::Read;
use std::sync::Arc;

use opcua::types::type_loader::{
    ByteStringBody, Context, TypeLoader, TypeLoaderCollection, TypeLoaderPriority,
};
use opcua::types::{
    ByteString, DataTypeId, DynEncodable, EncodingResult, Error, GeneratedTypeLoader, Identifier,
    NodeId, ObjectId,
};

/// Argument and the two structures that hold arguments, each by its type and by its encoding
/// (OPC 10000-6, A.3). Nobody has to send them to us, so they are left undecoded.
const WITH_ARGUMENTS: [u32; 6] = [
    DataTypeId::Argument as u32,
    ObjectId::Argument_Encoding_DefaultBinary as u32,
    DataTypeId::ProgramDiagnosticDataType as u32,
    ObjectId::ProgramDiagnosticDataType_Encoding_DefaultBinary as u32,
    DataTypeId::ProgramDiagnostic2DataType as u32,
    ObjectId::ProgramDiagnostic2DataType_Encoding_DefaultBinary as u32,
];

/// The loaders to decode what a peer sent: the standard's types, but for those that cost more
/// than they say, and opaque bodies for everything else.
pub fn loaders() -> TypeLoaderCollection {
    let mut loaders = TypeLoaderCollection::new_empty();
    loaders.add(Arc::new(Bounded));
    loaders
}

/// Takes every structure: decoded where that is bounded, else as the bytes that came.
#[derive(Debug)]
struct Bounded;

impl TypeLoader for Bounded {
    fn load_from_binary(
        &self,
        id: &NodeId,
        stream: &mut dyn Read,
        context: &Context<'_>,
        length: Option<usize>,
    ) -> Option<EncodingResult<Box<dyn DynEncodable>>> {
        // In any namespace: those beside the standard's are opaque anyway.
        let unbounded = matches!(
            &id.identifier,
            Identifier::Numeric(number) if WITH_ARGUMENTS.contains(number)
        );
        let decoded = if unbounded {
            None
        } else {
            GeneratedTypeLoader.load_from_binary(id, stream, context, length)
        };
        Some(decoded.unwrap_or_else(|| opaque(id, stream, length)))
    }

    fn priority(&self) -> TypeLoaderPriority {
        TypeLoaderPriority::Core
    }
}

/// The body as it came. Its buffer grows with what arrives, whatever length is announced.
fn opaque(
    id: &NodeId,
    stream: &mut dyn Read,
    length: Option<usize>,
) -> EncodingResult<Box<dyn DynEncodable>> {
    let Some(length) = length else {
        return Err(Error::decoding(format!("the structure {id} tells no length")));
    };
    let mut body = Vec::new();
    let read = stream.take(length as u64).read_to_end(&mut body)?;
    if read < length {
        return Err(Error::decoding(format!(
            "the structure {id} ends after {read} of {length} bytes"
        )));
    }
    Ok(Box::new(ByteStringBody::new(ByteString::from(body), id.clone())))
}

#[cfg(test)]
mod tests {
    use opcua::types::{
        BinaryDecodable, ContextOwned, DecodingOptions, ExtensionObject, NamespaceMap, Range,
    };

    use super::*;

    fn decode(bytes: &[u8]) -> EncodingResult<ExtensionObject> {
        let (names, options) = (NamespaceMap::new(), DecodingOptions::default());
        let context = ContextOwned::new(names, loaders(), options);
        ExtensionObject::decode(&mut &*bytes, &context.context())
    }

    /// A structure of the standard's namespace with this id and body, of this length as it says.
    fn structure(id: u16, length: i32, body: &[u8]) -> Vec<u8> {
        [&[1, 0], &id.to_le_bytes()[..], &[1], &length.to_le_bytes(), body].concat()
    }

    /// No name, no type, a value rank of 250 million, one dimension, no description.
    fn argument() -> Vec<u8> {
        let rank = 250_000_000_i32.to_le_bytes();
        [&[255; 4], &[0, 0][..], &rank, &[1, 0, 0, 0], &[0; 4], &[0]].concat()
    }

    #[test]
    fn an_argument_costs_no_more_than_its_bytes() {
        // Within a program's diagnostics it follows two ids, three texts and two times.
        let nothing = [&[0, 0][..], &[255; 4], &[0; 16], &[255; 4], &[0, 0], &[1, 0, 0, 0]];
        let within = [nothing.concat(), argument()].concat();
        let sent =
            [(argument(), [296, 298]), (within.clone(), [894, 896]), (within, [24033, 24034])];
        for (body, ids) in sent {
            for id in ids {
                let taken = decode(&structure(id, body.len() as i32, &body)).unwrap();
                let opaque = taken.inner_as::<ByteStringBody>().unwrap();
                assert_eq!(opaque.raw_body().value.as_deref(), Some(&*body), "{id}");
            }
        }
    }

    #[test]
    fn a_body_that_ends_early_is_an_error_and_no_buffer() {
        let error = decode(&structure(9_999, i32::MAX, b"short")).unwrap_err().to_string();
        assert!(error.contains("ends after 5 of 2147483647 bytes"), "{error}");
    }

    #[test]
    fn structures_of_the_standard_are_decoded() {
        let body = [1.0_f64.to_le_bytes(), 2.0_f64.to_le_bytes()].concat();
        let taken = decode(&structure(886, 16, &body)).unwrap();
        assert_eq!(taken.inner_as::<Range>(), Some(&Range { low: 1.0, high: 2.0 }));
    }
}
