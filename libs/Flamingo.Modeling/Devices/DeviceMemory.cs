using System.Globalization;
using System.Runtime.InteropServices;
using Flamingo.Checkpoints;

namespace Flamingo.Modeling.Devices;

/// <summary>Memory of a GPU, in bytes, as the driver reports it. Memory that other processes hold is not free.</summary>
/// <param name="Name">The card's name, for example NVIDIA H100 80GB HBM3.</param>
public sealed partial record DeviceMemory(string Name, long Free, long Total)
{
    /// <summary>Nine tenths of the free memory. The rest is left for the working memory of requests.</summary>
    public long Usable => Free / 10 * 9;

    /// <param name="device">cuda or cuda:N.</param>
    /// <exception cref="CheckpointException">The machine has no such device or no NVIDIA driver.</exception>
    public static DeviceMemory Of(string device)
    {
        var ordinal = device.Contains(':')
            ? int.Parse(device.AsSpan(device.IndexOf(':') + 1), NumberStyles.None, CultureInfo.InvariantCulture)
            : 0;
        try
        {
            Check(cuInit(0));
            Check(cuDeviceGet(out var handle, ordinal));
            var name = new byte[256];
            Check(cuDeviceGetName(name, name.Length, handle));
            Check(cuDevicePrimaryCtxRetain(out var context, handle)); // the context that torch uses as well
            try
            {
                Check(cuCtxPushCurrent(context));
                var result = cuMemGetInfo(out var free, out var total);
                cuCtxPopCurrent(out _);
                Check(result);
                return new DeviceMemory(System.Text.Encoding.ASCII.GetString(name).TrimEnd('\0'), (long)free, (long)total);
            }
            finally
            {
                cuDevicePrimaryCtxRelease(handle);
            }
        }
        catch (DllNotFoundException)
        {
            throw new CheckpointException(
                $"The device is '{device}', but this machine has no NVIDIA driver (libcuda.so.1). " +
                "Install it, pass the GPU to the container, or set cpu.");
        }

        void Check(int result)
        {
            if (result != 0)
                throw new CheckpointException(
                    $"The device is '{device}', but the NVIDIA driver reports error {result} for it (101 means that there is no such "
                    + "device). " +
                    "List the devices with nvidia-smi, or set cpu.");
        }
    }

    // NVIDIA's CUDA Driver API, sections 6.2 to 6.13
    private const string Driver = "libcuda.so.1";

    [LibraryImport(Driver)]
    private static partial int cuInit(uint flags);

    [LibraryImport(Driver)]
    private static partial int cuDeviceGet(out int device, int ordinal);

    [LibraryImport(Driver)]
    private static partial int cuDeviceGetName([Out] byte[] name, int length, int device);

    [LibraryImport(Driver)]
    private static partial int cuDevicePrimaryCtxRetain(out nint context, int device);

    [LibraryImport(Driver, EntryPoint = "cuDevicePrimaryCtxRelease_v2")]
    private static partial int cuDevicePrimaryCtxRelease(int device);

    [LibraryImport(Driver, EntryPoint = "cuCtxPushCurrent_v2")]
    private static partial int cuCtxPushCurrent(nint context);

    [LibraryImport(Driver, EntryPoint = "cuCtxPopCurrent_v2")]
    private static partial int cuCtxPopCurrent(out nint context);

    [LibraryImport(Driver, EntryPoint = "cuMemGetInfo_v2")]
    private static partial int cuMemGetInfo(out nuint free, out nuint total);
}
