using Flamingo.Abstractions;
using Google.Protobuf.WellKnownTypes;
using V1 = Flamingo.Protos.V1;

namespace Flamingo.Wire;

/// <summary>Converts support sets, choices of shots, and selected shots.</summary>
public static class SupportSetWire
{
    public static V1.PutSupportSetRequest ToMessage(this PutSupportSet record)
    {
        var message = new V1.PutSupportSetRequest { Name = record.Name, TimeToLive = record.TimeToLive.ToMessage() };
        if (record.ExpectedVersion is { } version) message.ExpectedVersion = version;
        message.Examples.AddRange(record.Examples.Select(example => example.Visual switch
        {
            FlamingoPicture picture => new V1.Example { Picture = picture.Bytes.ToByteString(), Text = example.Text },
            FlamingoVideo video => new V1.Example { Video = video.Input.ToMessage(), Text = example.Text },
            _ => throw new InvalidOperationException($"{example.Visual.GetType().Name} cannot be sent as an example."),
        }));
        return message;
    }

    public static PutSupportSet ToRecord(this V1.PutSupportSetRequest message, string tenant) => new(
        message.Name,
        [.. message.Examples.Select((example, index) => new SupportExample(
            example.VisualCase switch
            {
                V1.Example.VisualOneofCase.Picture => new FlamingoPicture(example.Picture.Memory),
                V1.Example.VisualOneofCase.Video => new FlamingoVideo(example.Video.ToRecord()),
                _ => throw FlamingoException.Invalid($"examples[{index}]", "The example has no picture.", "Set picture or video."),
            },
            example.Text))],
        message.TimeToLive.ToRecord("time_to_live"),
        message.HasExpectedVersion ? message.ExpectedVersion : null)
    {
        Tenant = tenant,
    };

    public static V1.SupportSet ToMessage(this SupportSet record)
    {
        var message = new V1.SupportSet
        {
            Name = record.Name, Version = record.Version, Created = record.Created.ToTimestamp(), Expires = record.Expires?.ToTimestamp(),
            ExampleCount = record.ExampleCount,
        };
        message.Examples.AddRange(
            record.Examples.Select(example => new V1.StoredExample { PictureId = example.PictureId, Text = example.Text }));
        return message;
    }

    public static SupportSet ToRecord(this V1.SupportSet message) => new(
        message.Name, message.Version, message.Created.ToDateTimeOffset(), message.Expires?.ToDateTimeOffset(), message.ExampleCount,
        [.. message.Examples.Select(example => new StoredExample(example.PictureId, example.Text))]);

    public static V1.SupportSetChoice ToMessage(this SupportSetChoice record) => new()
    {
        Name = record.Name, Version = record.Version, Selection = (V1.ShotSelection)record.Selection, Count = record.Count,
        Seed = record.Seed,
    };

    public static SupportSetChoice ToRecord(this V1.SupportSetChoice message) => new(
        message.Name,
        message.Selection == V1.ShotSelection.Unspecified ? ShotSelection.All : (ShotSelection)message.Selection,
        message.Count, message.Seed, message.Version);

    public static V1.Ensemble ToMessage(this Ensemble record) => new() { Permutations = record.Permutations, Seed = record.Seed };

    public static Ensemble ToRecord(this V1.Ensemble message) => new(message.Permutations, message.Seed);

    public static V1.SelectedShots ToMessage(this SelectedShots record)
    {
        var message = new V1.SelectedShots { Name = record.Name, Version = record.Version };
        message.Examples.AddRange(record.Examples);
        return message;
    }

    public static SelectedShots ToRecord(this V1.SelectedShots message) => new(message.Name, message.Version, [.. message.Examples]);
}
