using Flamingo.Abstractions;

namespace Flamingo.Cli.Reading;

/// <summary>Reads picture files for options and arguments that accept only pictures.</summary>
public static class PictureFile
{
    /// <returns>A picture without bytes if an error was added to <paramref name="faults"/>.</returns>
    public static FlamingoPicture Read(string file, List<string> faults) => new(InputFile.Read(file, "", InputFile.Pictures, faults));
}
