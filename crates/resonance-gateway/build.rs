//! Makes the gRPC service of the Open Inference Protocol, and a client of it, out of its description; its messages are
//! those of `resonance-wire`.

const FOLDER: &str = "../resonance-wire/proto";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed={FOLDER}/open_inference.proto");
    let described = protox::compile(["open_inference.proto"], [FOLDER])?;
    tonic_prost_build::configure()
        .build_transport(false)
        .extern_path(".inference", "::resonance_wire::oip::grpc")
        .compile_fds(described)?;
    Ok(())
}
