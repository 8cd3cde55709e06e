using Flamingo.Stages;
using Flamingo.VisionEncoder.Decoding;

namespace Flamingo.VisionEncoder.Execution;

/// <summary>What a picture must survive before it costs memory: size of file, size by header, then decoding. All faults of a call at once.</summary>
internal sealed class PictureGate(IPictureDecoder decoder, VisionEncoderOptions options)
{
    private const string Formats = "Send a complete JPEG, PNG, WebP, GIF or BMP file.";

    /// <exception cref="StageException">InvalidArgument, naming every bad picture.</exception>
    public void Check(IReadOnlyList<ReadOnlyMemory<byte>> pictures)
    {
        var faults = new List<FieldFault>();
        if (pictures.Count == 0 || pictures.Count > options.MaxPictures)
            faults.Add(new("pictures", $"{pictures.Count} pictures in one call.", $"Send 1 to {options.MaxPictures}."));
        else
            for (var index = 0; index < pictures.Count; index++)
                if (Fault(pictures[index]) is var (problem, remedy)) faults.Add(new($"pictures[{index}]", problem, remedy));
        PromptRules.ThrowIfAny(faults);
    }

    /// <param name="first">Index of the first of these in the call, for the field's name.</param>
    /// <param name="faults">Receives the truncated and damaged ones.</param>
    /// <returns>The pictures that could be decoded: all of them if no fault was added.</returns>
    public IReadOnlyList<DecodedPicture> Decode(IReadOnlyList<ReadOnlyMemory<byte>> pictures, int first, List<FieldFault> faults)
    {
        var decoded = pictures.Select(decoder.Decode).ToArray();
        faults.AddRange(decoded.Index().Where(item => item.Item is null)
            .Select(item => new FieldFault($"pictures[{first + item.Index}]", "The picture is truncated or damaged.", Formats)));
        return [.. decoded.OfType<DecodedPicture>()];
    }

    private (string Problem, string Remedy)? Fault(ReadOnlyMemory<byte> file)
    {
        if (file.Length == 0) return ("The picture is empty.", Formats);
        if (file.Length > options.MaxPictureBytes) return ($"{file.Length} bytes are more than {options.MaxPictureBytes}.", "Send a smaller file; pictures are scaled down anyway.");
        if (decoder.ReadSize(file) is not var (width, height)) return ("The format is unknown or the header is damaged.", Formats);
        if (width < 1 || height < 1) return ($"The picture is {width} × {height}.", "Send at least one pixel.");
        if ((long)width * height > options.MaxPixels) return ($"{width} × {height} by its header is more than {options.MaxPixels} pixels.", "Scale the picture down before sending.");
        // the short side is scaled to the tower's size and the long one with it: a line of pixels would become gigabytes
        if (Math.Max(width, height) > (long)Math.Min(width, height) * options.MaxAspectRatio) return ($"{width} × {height} is more than {options.MaxAspectRatio} times as long as it is wide.", "Crop the picture.");
        return null;
    }
}
