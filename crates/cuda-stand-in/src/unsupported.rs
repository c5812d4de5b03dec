//! Functions that are looked up but never work here.

use std::ffi::c_int;

use crate::status::Status;

/// Functions that say that they are not supported, whatever they are given.
macro_rules! unsupported {
    ($($name:ident)*) => {
        $(
            /// Fails: it is not supported.
            #[allow(non_snake_case)]
            #[unsafe(no_mangle)]
            pub(crate) extern "C" fn $name() -> c_int {
                Status::NotSupported as c_int
            }
        )*
    };
}

// libgstcuda gives up a driver that lacks one of these
unsupported! {
    cuCtxDisablePeerAccess
    cuCtxEnablePeerAccess
    cuCtxSetLimit
    cuEventCreate
    cuEventDestroy
    cuEventDestroy_v2
    cuEventRecord
    cuEventSynchronize
    cuGLGetDevices
    cuGLGetDevices_v2
    cuGraphicsEGLRegisterImage
    cuGraphicsGLRegisterBuffer
    cuGraphicsGLRegisterImage
    cuGraphicsMapResources
    cuGraphicsResourceGetMappedEglFrame
    cuGraphicsResourceGetMappedPointer_v2
    cuGraphicsResourceSetMapFlags_v2
    cuGraphicsSubResourceGetMappedArray
    cuGraphicsUnmapResources
    cuGraphicsUnregisterResource
    cuIpcCloseMemHandle
    cuIpcGetEventHandle
    cuIpcGetMemHandle
    cuIpcOpenEventHandle
    cuIpcOpenMemHandle
    cuLaunchKernel
    cuMemcpyDtoD
    cuMemcpyDtoDAsync
    cuMemcpyDtoDAsync_v2
    cuMemcpyDtoD_v2
    cuMemcpyDtoH
    cuMemcpyDtoHAsync
    cuMemcpyDtoHAsync_v2
    cuMemcpyDtoH_v2
    cuMemcpyHtoD
    cuMemcpyHtoDAsync
    cuMemcpyHtoDAsync_v2
    cuMemcpyHtoD_v2
    cuMemsetD2D16
    cuMemsetD2D16Async
    cuMemsetD2D16_v2
    cuMemsetD2D32
    cuMemsetD2D32Async
    cuMemsetD2D32_v2
    cuMemsetD2D8
    cuMemsetD2D8Async
    cuMemsetD2D8_v2
    cuModuleGetFunction
    cuModuleLoadData
    cuModuleUnload
    cuTensorMapEncodeTiled
    cuTexObjectCreate
    cuTexObjectDestroy
}

// the video decoder's library, without which the plugin nvcodec has no elements; under its name this
// library is that one, too
unsupported! {
    cuvidCtxLockCreate
    cuvidCtxLockDestroy
    cuvidCtxLock
    cuvidCtxUnlock
    cuvidCreateDecoder
    cuvidDestroyDecoder
    cuvidDecodePicture
    cuvidCreateVideoParser
    cuvidParseVideoData
    cuvidDestroyVideoParser
    cuvidMapVideoFrame64
    cuvidUnmapVideoFrame64
    cuvidGetDecoderCaps
}

// the runtime's, for options of the provider that are off, or kernels that are found by name
unsupported! {
    cudaFreeAsync
    cudaGetDriverEntryPointByVersion
    cudaGraphDestroy
    cudaGraphExecDestroy
    cudaGraphInstantiate
    cudaGraphLaunch
    cudaKernelSetAttributeForDevice
    cudaLibraryGetKernel
    cudaLibraryLoadData
    cudaLibraryUnload
    cudaMallocFromPoolAsync
    cudaMemPoolCreate
    cudaMemPoolDestroy
    cudaMemPoolGetAttribute
    cudaMemPoolSetAttribute
    cudaMemPoolTrimTo
    cudaMemcpyFromSymbol
    cudaStreamBeginCapture
    cudaStreamEndCapture
}
