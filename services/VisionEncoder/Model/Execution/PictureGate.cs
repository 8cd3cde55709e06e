using Flamingo.Abstractions;
using Flamingo.Stages;
using Flamingo.VisionEncoder.Decoding;

namespace Flamingo.VisionEncoder.Execution;

/// <summary>
/// Checks pictures and clips before they are decoded: the number and size of files, the size in pixels by the header, and the
/// number of frames. All faults of a call are reported together.
/// </summary>
public sealed class PictureGate(IPictureDecoder decoder, VisionEncoderOptions options)
{
    public const string Formats = "Send a complete JPEG, PNG, WebP, GIF or BMP file.";

    private const int LargeShare = 4; // a picture is large above this share of MaxPixels

    /// <exception cref="FlamingoException">
    /// InvalidArgument, naming every bad picture as <c>pictures[i]</c>, or its file as <c>pictures[i].files[j]</c> if it has several files.
    /// </exception>
    internal IReadOnlyList<PicturePlan> Check(IReadOnlyList<VisualInput> pictures)
    {
        if (pictures.Count == 0 || pictures.Count > options.MaxPictures)
            throw FlamingoException.Invalid(
                "pictures", $"One call contains {pictures.Count} pictures.", $"Send 1 to {options.MaxPictures} pictures.");
        var faults = new FaultList();
        var plans = pictures.Select((picture, index) => Plan(picture, $"pictures[{index}]", faults)).ToList();
        PromptRules.ThrowIfAny(faults);
        return plans;
    }

    private PicturePlan Plan(VisualInput picture, string field, FaultList faults)
    {
        var (files, known) = (picture.Files, faults.Total);
        if (picture.MaxFrames < 0 || picture.MaxFrames > options.MaxFrames)
            faults.Add(
                new($"{field}.max_frames", $"{picture.MaxFrames} frames of one clip are requested.", $"Ask for 1 to {options.MaxFrames} "
                    + "frames."));
        var bytes = files.Sum(file => (long)file.Length);
        if (files.Count == 0) faults.Add(new(field, "The picture has no file.", Formats));
        else if (files.Count > options.MaxClipFrames)
            faults.Add(new(field, $"{files.Count} files are more than {options.MaxClipFrames}.", "Send fewer frames of the clip."));
        else if (files.Count > 1 && bytes > options.MaxPictureBytes)
            faults.Add(new(field, $"The files have {bytes} bytes, more than "
                + $"{options.MaxPictureBytes}.", "Send fewer or smaller frames; the service scales them down anyway."));
        else if (files.Count == 1) Check(files[0], field, faults);
        else foreach (var (index, file) in files.Index()) Check(file, $"{field}.files[{index}]", faults);

        if (faults.Total > known) return new PicturePlan(picture, []);
        var there = files.Count > 1 ? files.Count : picture.MaxFrames > 1 ? decoder.CountFrames(files[0]) : 1;
        var plan = new PicturePlan(picture, PicturePlan.Sample(there, picture.MaxFrames));
        if (there > options.MaxClipFrames)
            faults.Add(new(field, $"The animation has {there} frames, more than "
                + $"{options.MaxClipFrames}.", "Send a shorter clip, or some of its frames as files."));
        else if (Pixels(plan) is var pixels && there > 1 && pixels > options.MaxClipPixels)
            faults.Add(new(field, $"{pixels} pixels would have to be decoded, more than "
                + $"{options.MaxClipPixels}.", "Send a smaller or shorter clip."));
        else return plan with { IsLarge = pixels > options.MaxPixels / LargeShare };
        return plan;
    }

    // A frame of an animation may depend on all frames before it, so those are decoded too.
    private long Pixels(PicturePlan plan)
    {
        return plan.IsAnimation
            ? Size(plan.Picture.Files[0]) * (plan.Frames[^1] + 1)
            : plan.Frames.Sum(frame => Size(plan.Picture.Files[frame]));

        long Size(ReadOnlyMemory<byte> file) => decoder.ReadSize(file) is var (width, height) ? (long)width * height : 0;
    }

    private void Check(ReadOnlyMemory<byte> file, string field, FaultList faults)
    {
        if (Fault(file) is var (problem, remedy)) faults.Add(new(field, problem, remedy));
    }

    /// <summary>Checks one file by its size and its header.</summary>
    /// <returns>Null if it may be decoded.</returns>
    public (string Problem, string Remedy)? Fault(ReadOnlyMemory<byte> file)
    {
        if (file.Length == 0) return ("The picture is empty.", Formats);
        if (file.Length > options.MaxPictureBytes)
            return (
                $"{file.Length} bytes are more than {options.MaxPictureBytes}.",
                "Send a smaller file; the service scales pictures down anyway.");
        if (decoder.ReadSize(file) is not var (width, height))
        {
            return ForeignFormat.Of(file.Span) is { } foreign
                ? ($"The file is {foreign.Name}, which is not supported.", foreign.Remedy)
                : ("The format is unknown or the header is damaged.", Formats);
        }

        if (width < 1 || height < 1) return ($"The picture is {width} × {height}.", "Send at least one pixel.");
        if ((long)width * height > options.MaxPixels)
            return ($"{width} × {height} by its header is more than {options.MaxPixels} pixels.", "Scale the picture down before sending.");
        // The short side is scaled to the input size of the network and the long side by the same factor, so a very thin picture
        // would need gigabytes.
        if (Math.Max(width, height) > (long)Math.Min(width, height) * options.MaxAspectRatio)
            return ($"{width} × {height} has a long side of more than {options.MaxAspectRatio} times its short side.", "Crop the picture.");
        return null;
    }
}
