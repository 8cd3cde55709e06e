using Flamingo.Abstractions;

namespace Flamingo.Cli.Reading;

/// <summary>A picture that is named where a picture alone may stand.</summary>
public static class PictureFile
{
    /// <returns>An empty one after a fault was added.</returns>
    public static FlamingoPicture Read(string file, List<string> faults) => new(InputFile.Read(file, "", InputFile.Pictures, faults));
}
