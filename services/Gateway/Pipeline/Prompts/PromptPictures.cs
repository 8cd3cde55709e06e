using Flamingo.Abstractions;
using Flamingo.Gateway.Latents;
using Flamingo.Stages;

namespace Flamingo.Gateway.Prompts;

/// <summary>Reads the pictures of a request and checks them against the limits of the model. Faults are collected, not thrown.</summary>
internal static class PromptPictures
{
    /// <summary>Checks all segments of a prompt and collects their faults.</summary>
    /// <returns>The pictures of the prompt, in order.</returns>
    public static List<RequestedPicture> Read(IReadOnlyList<FlamingoSegment> segments, FlamingoModel model, FaultList faults)
    {
        if (!PromptRules.CheckSegmentCount(segments.Count, faults)) return [];
        var texts = segments.Index().Where(item => item.Item is FlamingoText).Select(item => (item.Index, ((FlamingoText)item.Item).Text));
        PromptRules.CheckTexts(texts, model.Language, faults);
        if (segments.Count > 0 && segments.All(segment => segment is FlamingoText { Text: "" }))
            faults.Add(new("segments", "The prompt is empty.", "Send at least one character or picture."));
        var visuals = segments.Index().Where(item => item.Item is FlamingoVisual);
        return [.. visuals.Select(item => Read((FlamingoVisual)item.Item, $"segments[{item.Index}]", model, faults))];
    }

    /// <param name="path">Path of the message that holds the picture, for example <c>segments[2]</c>.</param>
    public static RequestedPicture Read(FlamingoVisual visual, string path, FlamingoModel model, FaultList faults)
    {
        switch (visual)
        {
            case FlamingoPicture sent:
                CheckSize(sent.Bytes, $"{path}.picture", model, faults);
                return new RequestedPicture(PictureId.Of(sent.Bytes.Span), VisualInput.Still(sent.Bytes), $"{path}.picture");
            case FlamingoPictureId known:
                if (!PictureId.IsWellFormed(known.Id))
                    faults.Add(new(
                        $"{path}.picture_id", $"'{(known.Id.Length > 80 ? known.Id[..80] : known.Id)}' is not a valid picture id.",
                        "Send the 64 lowercase hexadecimal characters that an earlier answer returned."));
                return new RequestedPicture(known.Id, null, $"{path}.picture_id");
            case FlamingoVideo video:
                return Read(video.Input, $"{path}.video", model, faults);
            default:
                throw new InvalidOperationException($"{visual.GetType().Name} is not a kind of picture.");
        }
    }

    private static RequestedPicture Read(VisualInput clip, string field, FlamingoModel model, FaultList faults)
    {
        var most = Math.Min(model.Resampler.MaxFrames, model.Vision.MaxFrames);
        if (model.Resampler.MaxFrames <= 1)
            faults.Add(new(field, "This checkpoint has no frame embeddings and accepts only still pictures.",
                "Send one frame as a picture."));
        else if (clip.MaxFrames < 0 || clip.MaxFrames > most)
            faults.Add(new($"{field}.max_frames", $"{clip.MaxFrames} is out of range.", $"Send 0 to {most}; 0 means {most}."));
        if (clip.Files.Count == 0)
            faults.Add(new($"{field}.files", "The clip has no file.", "Send one animated GIF or WebP, or one file per frame."));
        if (!PromptRules.CheckMost(
            $"{field}.files", "files", clip.Files.Count, PromptRules.MostFiles, faults, "Send fewer frames of the clip."))
            return new RequestedPicture("", null, field);
        foreach (var (index, file) in clip.Files.Index()) CheckSize(file, $"{field}.files[{index}]", model, faults);
        return new RequestedPicture(PictureId.Of(clip), clip with { MaxFrames = clip.MaxFrames == 0 ? most : clip.MaxFrames }, field);
    }

    private static void CheckSize(ReadOnlyMemory<byte> file, string field, FlamingoModel model, FaultList faults)
    {
        if (file.Length > model.Vision.MaxPictureBytes)
            faults.Add(new(
                field, $"{file.Length} bytes are more than {model.Vision.MaxPictureBytes}.",
                "Send a smaller file; pictures are scaled down anyway."));
    }
}
