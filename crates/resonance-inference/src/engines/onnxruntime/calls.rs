//! One inference through the C interface: inputs are lent to the library without a copy, outputs
//! are copied out of its memory into tensors that are reused.
#![expect(unsafe_code, reason = "the C interface of ONNX Runtime")]

use std::ffi::{CStr, CString, c_char, c_void};
use std::ptr::{null, null_mut};

use ort::AsPointer;
use ort::session::Session;
use ort::sys::{ONNXTensorElementDataType as Kind, OrtApi, OrtMemoryInfo, OrtStatusPtr, OrtValue};
use resonance_plant::{ElementType, Tensor};

use crate::onnx::element_type;

/// Most dimensions of an output.
const RANK_MAX: usize = 64;

/// Why an inference gave nothing.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The library's own words.
    Engine(String),
    /// An output of an element type that is not one of the protocol's.
    Element { output: usize, number: i32 },
    /// An output of more elements than allowed.
    TooLarge { output: usize, elements: u64 },
}

/// What one thread needs to call the library again and again; its memory is reused.
pub(super) struct Calls {
    api: &'static OrtApi,
    memory: Owned<OrtMemoryInfo>,
    input_names: Vec<*const c_char>,
    output_names: Vec<*const c_char>,
    inputs: Vec<*const OrtValue>,
    outputs: Vec<*mut OrtValue>,
    shape: Vec<i64>,
    size: Vec<usize>,
    offsets: Vec<usize>,
    text: Vec<u8>,
}

// SAFETY: the pointers in the vectors are valid only within one `run`, which clears them; the
// memory description is a constant that any thread may use and release.
unsafe impl Send for Calls {}

/// Something that the library gave and wants back.
struct Owned<T> {
    pointer: *mut T,
    release: unsafe extern "system" fn(*mut T),
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: the pointer came from the library, is not null and is released once.
        unsafe { (self.release)(self.pointer) }
    }
}

impl Calls {
    /// # Errors
    /// The library's words where it is out of memory.
    pub(super) fn new() -> Result<Self, String> {
        let api = ort::api();
        let mut pointer = null_mut();
        // SAFETY: `pointer` takes what the library makes.
        let status = unsafe {
            (api.CreateCpuMemoryInfo)(
                ort::sys::OrtAllocatorType::OrtDeviceAllocator,
                ort::sys::OrtMemType::OrtMemTypeDefault,
                &raw mut pointer,
            )
        };
        done(api, status)?;
        Ok(Self {
            api,
            memory: Owned { pointer, release: api.ReleaseMemoryInfo },
            input_names: Vec::new(),
            output_names: Vec::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            shape: Vec::new(),
            size: Vec::new(),
            offsets: Vec::new(),
            text: Vec::new(),
        })
    }

    /// Runs the model: `inputs` must fit what it declares. `outputs` are made as many as there
    /// are names.
    pub(super) fn run(
        &mut self,
        session: &Session,
        (input_names, inputs): (&[CString], &[Tensor]),
        (output_names, outputs): (&[CString], &mut Vec<Tensor>),
        elements_max: usize,
    ) -> Result<(), Refusal> {
        self.release();
        self.input_names.extend(input_names.iter().map(|name| name.as_ptr()));
        self.output_names.extend(output_names.iter().map(|name| name.as_ptr()));
        let ran = self
            .lend(inputs)
            .and_then(|()| self.call(session).map_err(Refusal::Engine))
            .and_then(|()| self.copy(outputs, elements_max));
        self.release();
        ran
    }

    /// Makes a value of each input; those of numbers point into the tensors.
    fn lend(&mut self, inputs: &[Tensor]) -> Result<(), Refusal> {
        for tensor in inputs {
            self.shape.clear();
            // No tensor in memory has a dimension past i64.
            self.shape.extend(tensor.shape.iter().map(|size| *size as i64));
            let value = if tensor.element == ElementType::Bytes {
                self.lend_strings(tensor)
            } else {
                self.lend_numbers(tensor)
            };
            self.inputs.push(value.map_err(Refusal::Engine)?);
        }
        Ok(())
    }

    fn lend_numbers(&mut self, tensor: &Tensor) -> Result<*const OrtValue, String> {
        let bytes = tensor.bytes();
        let mut value = null_mut();
        // SAFETY: the data outlives the value, which `run` releases before it returns. The
        // library takes the pointer as mutable but never writes to the inputs of a graph.
        let status = unsafe {
            (self.api.CreateTensorWithDataAsOrtValue)(
                self.memory.pointer,
                bytes.as_ptr().cast_mut().cast::<c_void>(),
                bytes.len(),
                self.shape.as_ptr(),
                self.shape.len(),
                kind(tensor.element),
                &raw mut value,
            )
        };
        done(self.api, status)?;
        Ok(value)
    }

    fn lend_strings(&mut self, tensor: &Tensor) -> Result<*const OrtValue, String> {
        let (mut allocator, mut value) = (null_mut(), null_mut());
        // SAFETY: both pointers take what the library makes; the default allocator is a constant.
        let status = unsafe { (self.api.GetAllocatorWithDefaultOptions)(&raw mut allocator) };
        done(self.api, status)?;
        // SAFETY: as above; the shape is read within the call.
        let status = unsafe {
            (self.api.CreateTensorAsOrtValue)(
                allocator,
                self.shape.as_ptr(),
                self.shape.len(),
                Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING,
                &raw mut value,
            )
        };
        done(self.api, status)?;
        let value = Owned { pointer: value, release: self.api.ReleaseValue };
        for (at, text) in tensor.strings().iter().enumerate() {
            let mut buffer = null_mut();
            // SAFETY: `at` is below the number of elements, `buffer` takes the element's memory.
            let status = unsafe {
                (self.api.GetResizedStringTensorElementBuffer)(
                    value.pointer,
                    at,
                    text.len(),
                    &raw mut buffer,
                )
            };
            done(self.api, status)?;
            if !buffer.is_null() {
                // SAFETY: the library made room for exactly this many bytes.
                unsafe { buffer.copy_from_nonoverlapping(text.as_ptr().cast(), text.len()) };
            }
        }
        // `run` releases it from now on.
        Ok(std::mem::ManuallyDrop::new(value).pointer)
    }

    fn call(&mut self, session: &Session) -> Result<(), String> {
        self.outputs.resize(self.output_names.len(), null_mut());
        // SAFETY: names and values live through the call and are as many as stated. The library
        // allows this call from several threads at once and does not change the session for
        // those that use the processor alone, as this one does.
        let status = unsafe {
            (self.api.Run)(
                session.inner().ptr().cast_mut(),
                null(),
                self.input_names.as_ptr(),
                self.inputs.as_ptr(),
                self.inputs.len(),
                self.output_names.as_ptr(),
                self.output_names.len(),
                self.outputs.as_mut_ptr(),
            )
        };
        done(self.api, status)
    }

    fn copy(&mut self, outputs: &mut Vec<Tensor>, elements_max: usize) -> Result<(), Refusal> {
        outputs.truncate(self.outputs.len());
        for at in 0..self.outputs.len() {
            let element = self.describe(at, elements_max)?;
            if outputs.len() == at {
                let tensor = Tensor::zeros(element, &self.size);
                outputs.push(tensor.map_err(|error| Refusal::Engine(error.to_string()))?);
            }
            let tensor = &mut outputs[at];
            tensor
                .resize(element, &self.size)
                .map_err(|error| Refusal::Engine(error.to_string()))?;
            let copied = if element == ElementType::Bytes {
                self.copy_strings(at, tensor)
            } else {
                self.copy_numbers(at, tensor)
            };
            copied.map_err(Refusal::Engine)?;
        }
        Ok(())
    }

    /// An output's element type; its shape goes to `self.size`.
    fn describe(&mut self, output: usize, elements_max: usize) -> Result<ElementType, Refusal> {
        let mut info = null_mut();
        if self.outputs[output].is_null() {
            return Err(Refusal::Engine("the model left an output without a value".into()));
        }
        // SAFETY: the value is one that `Run` made; `info` takes what the library makes.
        let status = unsafe {
            (self.api.GetTensorTypeAndShape)(self.outputs[output].cast_const(), &raw mut info)
        };
        done(self.api, status).map_err(Refusal::Engine)?;
        let info = Owned { pointer: info, release: self.api.ReleaseTensorTypeAndShapeInfo };
        let (mut number, mut rank) = (0_i32, 0);
        // SAFETY: the library's enumeration is an int; read as such, any number is allowed.
        let status =
            unsafe { (self.api.GetTensorElementType)(info.pointer, (&raw mut number).cast()) };
        done(self.api, status).map_err(Refusal::Engine)?;
        // SAFETY: `rank` takes the number of dimensions.
        let status = unsafe { (self.api.GetDimensionsCount)(info.pointer, &raw mut rank) };
        done(self.api, status).map_err(Refusal::Engine)?;
        let element = element_type(i64::from(number)).ok_or(Refusal::Element { output, number })?;
        if rank > RANK_MAX {
            return Err(Refusal::Engine(format!("an output has {rank} dimensions")));
        }
        self.shape.clear();
        self.shape.resize(rank, 0);
        // SAFETY: there is room for `rank` numbers.
        let status =
            unsafe { (self.api.GetDimensions)(info.pointer, self.shape.as_mut_ptr(), rank) };
        done(self.api, status).map_err(Refusal::Engine)?;
        self.size.clear();
        self.size.extend(self.shape.iter().map(|size| usize::try_from(*size).unwrap_or(0)));
        let elements = self.size.iter().fold(1_u64, |all, size| all.saturating_mul(*size as u64));
        if elements > elements_max as u64 {
            return Err(Refusal::TooLarge { output, elements });
        }
        Ok(element)
    }

    fn copy_numbers(&self, output: usize, tensor: &mut Tensor) -> Result<(), String> {
        let mut data = null_mut();
        // SAFETY: the value is one that `Run` made; `data` takes where its elements are.
        let status =
            unsafe { (self.api.GetTensorMutableData)(self.outputs[output], &raw mut data) };
        done(self.api, status)?;
        let bytes = tensor.bytes_mut();
        if !data.is_null() && !bytes.is_empty() {
            // SAFETY: the tensor was given the type and shape of the value, so both have this
            // many bytes; they are different memory.
            unsafe {
                bytes.as_mut_ptr().copy_from_nonoverlapping(data.cast::<u8>(), bytes.len());
            }
        }
        Ok(())
    }

    fn copy_strings(&mut self, output: usize, tensor: &mut Tensor) -> Result<(), String> {
        let (value, count) = (self.outputs[output].cast_const(), tensor.len());
        let mut length = 0;
        // SAFETY: the value is a tensor of strings that `Run` made.
        let status = unsafe { (self.api.GetStringTensorDataLength)(value, &raw mut length) };
        done(self.api, status)?;
        self.text.clear();
        self.text.resize(length, 0);
        self.offsets.clear();
        self.offsets.resize(count, 0);
        // SAFETY: there is room for `length` bytes and `count` offsets.
        let status = unsafe {
            (self.api.GetStringTensorContent)(
                value,
                self.text.as_mut_ptr().cast::<c_void>(),
                length,
                self.offsets.as_mut_ptr(),
                count,
            )
        };
        done(self.api, status)?;
        for (at, string) in tensor.strings_mut().iter_mut().enumerate() {
            let end = self.offsets.get(at + 1).copied().unwrap_or(length);
            string.clear();
            string.extend_from_slice(self.text.get(self.offsets[at]..end).unwrap_or_default());
        }
        Ok(())
    }

    /// Gives values back and forgets every pointer.
    fn release(&mut self) {
        let inputs = self.inputs.drain(..).map(<*const OrtValue>::cast_mut);
        for value in inputs.chain(self.outputs.drain(..)).filter(|value| !value.is_null()) {
            // SAFETY: made by the library, released once: the vectors are emptied here.
            unsafe { (self.api.ReleaseValue)(value) }
        }
        self.input_names.clear();
        self.output_names.clear();
    }
}

impl Drop for Calls {
    fn drop(&mut self) {
        self.release();
    }
}

/// The library's status as a result; its message is copied and the status given back.
fn done(api: &OrtApi, status: OrtStatusPtr) -> Result<(), String> {
    if status.0.is_null() {
        return Ok(());
    }
    let status = Owned { pointer: status.0, release: api.ReleaseStatus };
    // SAFETY: the status is not null; its message ends with zero and lives as long as it does.
    let message = unsafe { CStr::from_ptr((api.GetErrorMessage)(status.pointer)) };
    Err(message.to_string_lossy().into_owned())
}

fn kind(element: ElementType) -> Kind {
    match element {
        ElementType::Bool => Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL,
        ElementType::Uint8 => Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8,
        ElementType::Uint16 => Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT16,
        ElementType::Uint32 => Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT32,
        ElementType::Uint64 => Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT64,
        ElementType::Int8 => Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8,
        ElementType::Int16 => Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_INT16,
        ElementType::Int32 => Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32,
        ElementType::Int64 => Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64,
        ElementType::Fp16 => Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16,
        ElementType::Bf16 => Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16,
        ElementType::Fp32 => Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT,
        ElementType::Fp64 => Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE,
        ElementType::Bytes => Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING,
    }
}
