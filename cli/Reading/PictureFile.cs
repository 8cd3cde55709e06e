using Flamingo.Stages;

namespace Flamingo.Cli.Reading;

/// <summary>A picture that is named where a picture alone may stand.</summary>
public static class PictureFile
{
    /// <returns>An empty one after a fault was added.</returns>
    public static FlamingoPicture Read(string file, List<string> faults)
    {
        if (File.Exists(file)) return new FlamingoPicture(File.ReadAllBytes(file));
        faults.Add($"{file} does not exist. Name a JPEG, PNG, WebP, GIF or BMP file.");
        return new FlamingoPicture(default);
    }
}
