//! Finding the ONNX Runtime library and reading its version before anything else touches it:
//! a library that is too old can hang at load.

use std::ffi::{CStr, c_char, c_void};
use std::mem::ManuallyDrop;
use std::path::{Path, PathBuf};

use libloading::{Library, Symbol};

use crate::EngineError;

/// Names the library's file, or the folder it lies in.
pub const LIBRARY_VARIABLE: &str = "RESONANCE_ONNXRUNTIME";

/// The oldest ONNX Runtime that serves, as minor version of 1.x: the level of its C interface
/// that this build asks for.
pub const MINOR_MIN: u32 = ort::MINOR_VERSION;

/// A library that can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub path: PathBuf,
    pub version: String,
}

/// The library to use: the one that [`LIBRARY_VARIABLE`] names, or else the first in `lib` beside
/// the program, beside the program itself, in `.cache/onnxruntime` of one of the four folders
/// above it, and in the system's own folders. The working folder has no say in what is loaded.
pub(super) fn find() -> Result<Found, EngineError> {
    if let Some(named) = std::env::var_os(LIBRARY_VARIABLE).filter(|value| !value.is_empty()) {
        let named = PathBuf::from(named);
        let path = if named.is_dir() { in_folder(&named) } else { Some(named.clone()) };
        return match path {
            Some(path) => check(&path),
            None => Err(unavailable(
                format!("{LIBRARY_VARIABLE} names {}, which holds no library", named.display()),
                "point it at libonnxruntime.so itself",
            )),
        };
    }
    let folders = folders(std::env::current_exe().ok().as_deref());
    match folders.iter().find_map(|folder| in_folder(folder)) {
        Some(path) => check(&path),
        None => Err(unavailable(
            "no ONNX Runtime library was found".into(),
            &format!(
                "install ONNX Runtime 1.{MINOR_MIN} or newer (pip install onnxruntime brings \
                 onnxruntime/capi/libonnxruntime.so.*) and set {LIBRARY_VARIABLE} to the library's \
                 path, or put it into the folder lib beside the program"
            ),
        )),
    }
}

fn folders(program: Option<&Path>) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    if let Some(beside) = program.and_then(Path::parent) {
        folders.extend([beside.join("lib"), beside.to_owned()]);
        let above = beside.ancestors().take(4);
        folders.extend(above.map(|folder| folder.join(".cache").join("onnxruntime")));
    }
    folders.extend(["/usr/local/lib", "/usr/lib", "/usr/lib64"].map(PathBuf::from));
    folders
}

/// The library in a folder; of several, the last by name, which is the newest of those that
/// differ in their version's last digits.
fn in_folder(folder: &Path) -> Option<PathBuf> {
    let is_library = |name: &str| {
        let name = name.strip_prefix("lib").unwrap_or(name);
        name.starts_with("onnxruntime.so")
            || name == "onnxruntime.dll"
            || (name.starts_with("onnxruntime.") && name.ends_with("dylib"))
    };
    let names = std::fs::read_dir(folder).ok()?.filter_map(Result::ok);
    let libraries = names.map(|entry| entry.path()).filter(|path| {
        path.file_name().and_then(|name| name.to_str()).is_some_and(is_library) && path.is_file()
    });
    libraries.max()
}

/// Whether a library can be used, by its own account of its version.
pub(super) fn check(path: &Path) -> Result<Found, EngineError> {
    let install = format!(
        "install ONNX Runtime 1.{MINOR_MIN} or newer and set {LIBRARY_VARIABLE} to its library"
    );
    let version = read_version(path)
        .map_err(|problem| unavailable(format!("{}: {problem}", path.display()), &install))?;
    let mut numbers = version.split('.').map(|number| number.parse::<u32>().ok());
    let (major, minor) = (numbers.next().flatten(), numbers.next().flatten());
    if major != Some(1) || minor.is_none_or(|minor| minor < MINOR_MIN) {
        let needed = format!("1.{MINOR_MIN} or newer 1.x is needed");
        let problem = format!("{} is ONNX Runtime {version}; {needed}", path.display());
        return Err(unavailable(problem, &install));
    }
    Ok(Found { path: path.to_owned(), version })
}

/// OrtApiBase of onnxruntime_c_api.h: its layout has not changed since 1.0.
#[repr(C)]
struct ApiBase {
    api: unsafe extern "system" fn(u32) -> *const c_void,
    version: unsafe extern "system" fn() -> *const c_char,
}

#[expect(unsafe_code, reason = "asks the library for its version through its C interface")]
fn read_version(path: &Path) -> Result<String, String> {
    if !path.is_file() {
        return Err("there is no such file".into());
    }
    // SAFETY: loading runs the library's initializers. The operator chose this file, or installed
    // it beside the program; ONNX Runtime's initializers only set up its own state.
    let library = unsafe { Library::new(path) }
        .map_err(|error| format!("the file cannot be loaded as a library ({error})"))?;
    // Never unloaded: the same library serves until the process ends, and unloading one that has
    // started threads is not safe.
    let library = ManuallyDrop::new(library);
    // SAFETY: OrtGetApiBase has this type in every release of ONNX Runtime.
    let base: Result<Symbol<'_, unsafe extern "system" fn() -> *const ApiBase>, _> =
        unsafe { library.get(b"OrtGetApiBase\0") };
    let base = base.map_err(|_| "the library is not ONNX Runtime (no OrtGetApiBase)")?;
    // SAFETY: the function takes nothing and returns a static structure or null.
    let base = unsafe { base().as_ref() }.ok_or("OrtGetApiBase returns nothing")?;
    // SAFETY: the function takes nothing and returns a static text.
    let version = unsafe { (base.version)() };
    if version.is_null() {
        return Err("the library does not say its version".into());
    }
    // SAFETY: not null, and by the interface a text that ends with zero and lives for ever.
    let version = unsafe { CStr::from_ptr(version) };
    let version = version.to_str().map_err(|_| "the library's version is no text")?.to_owned();
    let minor = version.split('.').nth(1).and_then(|minor| minor.parse::<u32>().ok());
    // A library that is too old is refused by its version; one that claims to be new enough but
    // lacks the interface is refused here.
    if minor.is_some_and(|minor| minor >= MINOR_MIN) {
        // SAFETY: any number may be asked for; what is not there is null.
        let api = unsafe { (base.api)(MINOR_MIN) };
        if api.is_null() {
            return Err(format!("version {version} lacks level {MINOR_MIN} of the C interface"));
        }
    }
    Ok(version)
}

pub(super) fn unavailable(problem: String, remedy: &str) -> EngineError {
    EngineError::Unavailable { problem, remedy: remedy.to_owned() }
}
