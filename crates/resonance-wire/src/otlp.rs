//! Spans in the OpenTelemetry Protocol (OTLP 1.x, `opentelemetry.proto.collector.trace.v1`): what a
//! gateway sends to a collector and what that answers. Names and numbers of fields are those of
//! the protocol; of its fields, these are the ones in use.

use prost::Message;

/// What is posted to `/v1/traces`.
#[derive(Clone, PartialEq, Message)]
pub struct ExportTraceServiceRequest {
    /// Spans by where they come from.
    #[prost(message, repeated, tag = "1")]
    pub resource_spans: Vec<ResourceSpans>,
}

/// Spans of one process.
#[derive(Clone, PartialEq, Message)]
pub struct ResourceSpans {
    /// The process.
    #[prost(message, optional, tag = "1")]
    pub resource: Option<Resource>,
    /// Its spans by what made them.
    #[prost(message, repeated, tag = "2")]
    pub scope_spans: Vec<ScopeSpans>,
}

/// Where spans come from.
#[derive(Clone, PartialEq, Message)]
pub struct Resource {
    /// `service.name` and so on.
    #[prost(message, repeated, tag = "1")]
    pub attributes: Vec<KeyValue>,
}

/// Spans made by one part of a program.
#[derive(Clone, PartialEq, Message)]
pub struct ScopeSpans {
    /// The part.
    #[prost(message, optional, tag = "1")]
    pub scope: Option<InstrumentationScope>,
    /// Its spans.
    #[prost(message, repeated, tag = "2")]
    pub spans: Vec<Span>,
}

/// What made spans.
#[derive(Clone, PartialEq, Message)]
pub struct InstrumentationScope {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Its version.
    #[prost(string, tag = "2")]
    pub version: String,
}

/// Something that took time.
#[derive(Clone, PartialEq, Message)]
pub struct Span {
    /// 16 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub trace_id: Vec<u8>,
    /// 8 bytes.
    #[prost(bytes = "vec", tag = "2")]
    pub span_id: Vec<u8>,
    /// 8 bytes; empty: the first of its trace.
    #[prost(bytes = "vec", tag = "4")]
    pub parent_span_id: Vec<u8>,
    /// What it is.
    #[prost(string, tag = "5")]
    pub name: String,
    /// Where in a chain it stands.
    #[prost(enumeration = "SpanKind", tag = "6")]
    pub kind: i32,
    /// Nanoseconds since the Unix epoch.
    #[prost(fixed64, tag = "7")]
    pub start_time_unix_nano: u64,
    /// Nanoseconds since the Unix epoch.
    #[prost(fixed64, tag = "8")]
    pub end_time_unix_nano: u64,
    /// What is known of it.
    #[prost(message, repeated, tag = "9")]
    pub attributes: Vec<KeyValue>,
    /// Whether it went well; absent: nobody judged.
    #[prost(message, optional, tag = "15")]
    pub status: Option<Status>,
    /// W3C trace flags: bit 0 says that it is sampled.
    #[prost(fixed32, tag = "16")]
    pub flags: u32,
}

/// Where in a chain a span stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum SpanKind {
    /// Nobody said.
    Unspecified = 0,
    /// Within the program.
    Internal = 1,
    /// It answers a request.
    Server = 2,
    /// It makes one.
    Client = 3,
    /// It hands something to be taken later.
    Producer = 4,
    /// It takes such a thing.
    Consumer = 5,
}

/// How a span ended.
#[derive(Clone, PartialEq, Message)]
pub struct Status {
    /// For people, where it is an error.
    #[prost(string, tag = "2")]
    pub message: String,
    /// Good or not.
    #[prost(enumeration = "StatusCode", tag = "3")]
    pub code: i32,
}

/// Whether a span went well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum StatusCode {
    /// Nobody judged.
    Unset = 0,
    /// It did.
    Ok = 1,
    /// It did not.
    Error = 2,
}

/// Something known by name.
#[derive(Clone, PartialEq, Message)]
pub struct KeyValue {
    /// Its name.
    #[prost(string, tag = "1")]
    pub key: String,
    /// What it is.
    #[prost(message, optional, tag = "2")]
    pub value: Option<AnyValue>,
}

/// A value of one of several types.
#[derive(Clone, PartialEq, Message)]
pub struct AnyValue {
    /// The value.
    #[prost(oneof = "any_value::Value", tags = "1, 2, 3, 4")]
    pub value: Option<any_value::Value>,
}

/// The types of [`AnyValue`].
pub mod any_value {
    /// A value; of the protocol's types, those in use.
    #[derive(Clone, PartialEq, prost::Oneof)]
    pub enum Value {
        /// A text.
        #[prost(string, tag = "1")]
        Text(String),
        /// A truth.
        #[prost(bool, tag = "2")]
        Bool(bool),
        /// A whole number.
        #[prost(int64, tag = "3")]
        Int(i64),
        /// A number.
        #[prost(double, tag = "4")]
        Double(f64),
    }
}

/// What a collector answers.
#[derive(Clone, PartialEq, Message)]
pub struct ExportTraceServiceResponse {
    /// Set where it did not take all.
    #[prost(message, optional, tag = "1")]
    pub partial_success: Option<PartialSuccess>,
}

/// What a collector did not take.
#[derive(Clone, PartialEq, Message)]
pub struct PartialSuccess {
    /// So many spans.
    #[prost(int64, tag = "1")]
    pub rejected_spans: i64,
    /// Why.
    #[prost(string, tag = "2")]
    pub error_message: String,
}

/// The media type of requests and answers.
pub const MEDIA_TYPE: &str = "application/x-protobuf";

/// A request of these spans of one process, made by one scope.
pub fn request(
    resource: Vec<KeyValue>,
    scope: InstrumentationScope,
    spans: Vec<Span>,
) -> ExportTraceServiceRequest {
    let scope_spans = vec![ScopeSpans { scope: Some(scope), spans }];
    let resource = Some(Resource { attributes: resource });
    ExportTraceServiceRequest { resource_spans: vec![ResourceSpans { resource, scope_spans }] }
}

/// How many spans a collector's answer says it did not take, and why. An answer that cannot be
/// read refuses nothing: it came with a status that says success.
pub fn refused(answer: &[u8]) -> (u64, String) {
    let partial = ExportTraceServiceResponse::decode(answer).ok().and_then(|a| a.partial_success);
    partial.map_or((0, String::new()), |partial| {
        (u64::try_from(partial.rejected_spans).unwrap_or(0), partial.error_message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_encoded_as_the_protocol_says() {
        let text = AnyValue { value: Some(any_value::Value::Text("b".into())) };
        let span = Span {
            trace_id: vec![1; 16],
            span_id: vec![2; 8],
            parent_span_id: Vec::new(),
            name: "x".into(),
            kind: SpanKind::Internal as i32,
            start_time_unix_nano: 3,
            end_time_unix_nano: 4,
            attributes: vec![KeyValue { key: "a".into(), value: Some(text) }],
            status: Some(Status { message: String::new(), code: StatusCode::Error as i32 }),
            flags: 1,
        };
        // Field 1 and 2 as bytes, 5 as text, 6 as varint, 7 and 8 as fixed 64 bits, 9 and 15 as
        // messages, 16 as fixed 32 bits.
        let mut expected = vec![0x0a, 16];
        expected.extend([1; 16]);
        expected.extend([0x12, 8]);
        expected.extend([2; 8]);
        expected.extend([0x2a, 1, b'x', 0x30, 1]);
        expected.extend([0x39, 3, 0, 0, 0, 0, 0, 0, 0, 0x41, 4, 0, 0, 0, 0, 0, 0, 0]);
        expected.extend([0x4a, 8, 0x0a, 1, b'a', 0x12, 3, 0x0a, 1, b'b']);
        expected.extend([0x7a, 2, 0x18, 2, 0x85, 0x01, 1, 0, 0, 0]);
        assert_eq!(span.encode_to_vec(), expected);
        let made = request(Vec::new(), InstrumentationScope::default(), vec![span]);
        assert_eq!(
            ExportTraceServiceRequest::decode(made.encode_to_vec().as_slice()).unwrap(),
            made
        );
    }

    #[test]
    fn what_was_refused_is_read_and_junk_refuses_nothing() {
        assert_eq!(refused(&[]), (0, String::new()));
        assert_eq!(refused(&[0x0a, 5, 0x08, 3, 0x12, 1, b'q']), (3, "q".into()));
        assert_eq!(refused(b"<html>"), (0, String::new()));
        let negative = [0x0a, 11, 0x08, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1];
        assert_eq!(refused(&negative).0, 0);
    }
}
