//! The libraries that compute, `libcublas.so.13`, `libcublasLt.so.13` and `libcudnn.so.9`: they
//! take everything they are asked for, and compute nothing. What no network here has needed yet
//! says that it fails.

use std::ffi::{c_char, c_int, c_void};
use std::ptr;

use crate::state::state;

/// cuDNN's version, 9.13.
const CUDNN: usize = 91_300;

/// `cudnnBackendAttributeType_t`, as far as there are answers to it.
const INT64: c_int = 3;
const DESCRIPTOR: c_int = 15;
const INT32: c_int = 23;

/// Status for no success, as `CUDNN_STATUS_…` and `CUBLAS_STATUS_…`; the libraries' own differ.
const FAILED: c_int = 15;

/// Functions with the status they give, whatever they are given.
macro_rules! gives {
    ($status:expr; $($name:ident)*) => {
        $(
            /// Gives a status and does nothing.
            #[allow(non_snake_case)]
            #[unsafe(no_mangle)]
            pub(crate) extern "C" fn $name() -> c_int {
                $status
            }
        )*
    };
}

/// Functions that compute.
macro_rules! computes {
    ($($name:ident)*) => {
        $(
            /// Counts as a launch.
            #[allow(non_snake_case)]
            #[unsafe(no_mangle)]
            pub(crate) extern "C" fn $name() -> c_int {
                state().counts.launches += 1;
                0
            }
        )*
    };
}

/// Functions that make something, of which nothing is kept.
macro_rules! creates {
    ($($name:ident)*) => {
        $(
            /// Gives a handle.
            ///
            /// # Safety
            /// The handle's place is there to be written.
            #[allow(non_snake_case)]
            #[unsafe(no_mangle)]
            pub(crate) unsafe extern "C" fn $name(handle: *mut *mut c_void) -> c_int {
                // SAFETY: as promised by the caller.
                unsafe { handle.write(ptr::dangling_mut::<c_void>()) };
                0
            }
        )*
    };
}

creates! {
    cublasCreate_v2
    cublasLtCreate
    cudnnCreate
    cudnnCreateActivationDescriptor
    cudnnCreateConvolutionDescriptor
    cudnnCreateDropoutDescriptor
    cudnnCreateFilterDescriptor
    cudnnCreateLRNDescriptor
    cudnnCreatePoolingDescriptor
    cudnnCreateRNNDataDescriptor
    cudnnCreateRNNDescriptor
    cudnnCreateReduceTensorDescriptor
    cudnnCreateTensorDescriptor
}

gives! { 0;
    cublasDestroy_v2
    cublasLtDestroy
    cublasSetMathMode
    cublasSetStream_v2
    cudnnBackendDestroyDescriptor
    cudnnBackendFinalize
    cudnnBackendSetAttribute
    cudnnDestroy
    cudnnDestroyActivationDescriptor
    cudnnDestroyConvolutionDescriptor
    cudnnDestroyDropoutDescriptor
    cudnnDestroyFilterDescriptor
    cudnnDestroyLRNDescriptor
    cudnnDestroyPoolingDescriptor
    cudnnDestroyRNNDataDescriptor
    cudnnDestroyRNNDescriptor
    cudnnDestroyReduceTensorDescriptor
    cudnnDestroyTensorDescriptor
    cudnnSetActivationDescriptor
    cudnnSetConvolutionGroupCount
    cudnnSetConvolutionMathType
    cudnnSetConvolutionNdDescriptor
    cudnnSetFilterNdDescriptor
    cudnnSetPoolingNdDescriptor
    cudnnSetReduceTensorDescriptor
    cudnnSetStream
    cudnnSetTensorNdDescriptor
}

computes! {
    cublasDgeam
    cublasDgemmBatched
    cublasDgemmStridedBatched
    cublasDgemm_v2
    cublasGemmBatchedEx
    cublasGemmEx
    cublasGemmStridedBatchedEx
    cublasScopy_v2
    cublasSgeam
    cublasSgemmBatched
    cublasSgemmStridedBatched
    cublasSgemm_v2
    cublasSscal_v2
    cudnnActivationForward
    cudnnAddTensor
    cudnnBackendExecute
    cudnnPoolingForward
    cudnnReduceTensor
    cudnnSoftmaxForward
}

gives! { FAILED;
    cublasDgetrfBatched
    cublasDgetriBatched
    cublasLtMatmul
    cublasLtMatmulAlgoConfigSetAttribute
    cublasLtMatmulAlgoGetHeuristic
    cublasLtMatmulAlgoInit
    cublasLtMatmulDescCreate
    cublasLtMatmulDescDestroy
    cublasLtMatmulDescSetAttribute
    cublasLtMatmulPreferenceCreate
    cublasLtMatmulPreferenceDestroy
    cublasLtMatmulPreferenceSetAttribute
    cublasLtMatrixLayoutCreate
    cublasLtMatrixLayoutDestroy
    cublasLtMatrixLayoutSetAttribute
    cublasLtMatrixTransform
    cublasLtMatrixTransformDescCreate
    cublasLtMatrixTransformDescDestroy
    cublasSgetrfBatched
    cublasSgetriBatched
    cudnnBatchNormalizationForwardInference
    cudnnBatchNormalizationForwardTraining
    cudnnConvolutionBiasActivationForward
    cudnnConvolutionForward
    cudnnDeriveBNTensorDescriptor
    cudnnDropoutGetStatesSize
    cudnnFindConvolutionForwardAlgorithmEx
    cudnnGetConvolutionForwardAlgorithm_v7
    cudnnGetConvolutionForwardWorkspaceSize
    cudnnGetRNNTempSpaceSizes
    cudnnGetRNNWeightParams
    cudnnGetTensorNdDescriptor
    cudnnLRNCrossChannelForward
    cudnnRNNForward
    cudnnSetDropoutDescriptor
    cudnnSetLRNDescriptor
    cudnnSetRNNDataDescriptor
    cudnnSetRNNDescriptor_v8
}

/// The plain way of computing.
///
/// # Safety
/// `mode` is there to be written.
#[allow(non_snake_case)]
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cublasGetMathMode(_handle: usize, mode: *mut c_int) -> c_int {
    // SAFETY: as promised by the caller.
    unsafe { mode.write(0) };
    0
}

/// A status in words.
#[allow(non_snake_case)]
#[unsafe(no_mangle)]
pub(crate) extern "C" fn cublasGetStatusName(_status: c_int) -> *const c_char {
    c"a status of the stand-in's".as_ptr()
}

/// A status in words.
#[allow(non_snake_case)]
#[unsafe(no_mangle)]
pub(crate) extern "C" fn cublasGetStatusString(_status: c_int) -> *const c_char {
    c"a status of the stand-in's".as_ptr()
}

/// A status in words.
#[allow(non_snake_case)]
#[unsafe(no_mangle)]
pub(crate) extern "C" fn cudnnGetErrorString(_status: c_int) -> *const c_char {
    c"a status of the stand-in's".as_ptr()
}

/// Says nothing.
///
/// # Safety
/// `message` is there to be written, if there is room.
#[allow(non_snake_case)]
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cudnnGetLastErrorString(message: *mut c_char, room: usize) {
    if room > 0 {
        // SAFETY: as promised by the caller.
        unsafe { message.write(0) };
    }
}

/// The library's version.
#[allow(non_snake_case)]
#[unsafe(no_mangle)]
pub(crate) extern "C" fn cudnnGetVersion() -> usize {
    CUDNN
}

/// A description of something to compute.
///
/// # Safety
/// `descriptor` is there to be written.
#[allow(non_snake_case)]
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cudnnBackendCreateDescriptor(
    _kind: c_int,
    descriptor: *mut *mut c_void,
) -> c_int {
    // SAFETY: as promised by the caller.
    unsafe { descriptor.write(ptr::dangling_mut::<c_void>()) };
    0
}

/// One way of computing whatever is described, which takes no memory and has nothing else to be
/// said of it: of numbers and descriptions there is one, 0, and of all else none.
///
/// # Safety
/// `count` is null or there to be written, and so are as many `values` as are wanted.
#[allow(non_snake_case)]
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cudnnBackendGetAttribute(
    _descriptor: usize,
    _name: c_int,
    kind: c_int,
    wanted: i64,
    count: *mut i64,
    values: *mut c_void,
) -> c_int {
    let there = i64::from(matches!(kind, INT64 | DESCRIPTOR | INT32));
    // SAFETY: as promised by the caller; descriptions are the caller's own, and stay as they are.
    unsafe {
        if !count.is_null() {
            count.write(there);
        }
        if wanted > 0 && !values.is_null() {
            match kind {
                INT64 => values.cast::<i64>().write(0),
                INT32 => values.cast::<c_int>().write(0),
                _ => {}
            }
        }
    }
    0
}

/// The default stream: where nothing is computed, it does not matter.
///
/// # Safety
/// `stream` is there to be written.
#[allow(non_snake_case)]
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cudnnGetStream(_handle: usize, stream: *mut usize) -> c_int {
    // SAFETY: as promised by the caller.
    unsafe { stream.write(0) };
    0
}

/// No memory is needed.
///
/// # Safety
/// `size` is there to be written.
#[allow(non_snake_case)]
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cudnnGetReductionIndicesSize(
    _handle: usize,
    _reduction: usize,
    _from: usize,
    _to: usize,
    size: *mut usize,
) -> c_int {
    // SAFETY: as promised by the caller.
    unsafe { size.write(0) };
    0
}

/// No memory is needed.
///
/// # Safety
/// `size` is there to be written.
#[allow(non_snake_case)]
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cudnnGetReductionWorkspaceSize(
    _handle: usize,
    _reduction: usize,
    _from: usize,
    _to: usize,
    size: *mut usize,
) -> c_int {
    // SAFETY: as promised by the caller.
    unsafe { size.write(0) };
    0
}
