using Flamingo.Fixtures.Reference;
using Flamingo.Import;

namespace Flamingo.GpuCheck;

/// <summary>
/// The folder that a check reads: <c>families/NAME/{model,golden.json,golden.safetensors}</c>, <c>evaluation</c> and <c>shapes</c>.
/// </summary>
public static class CheckData
{
    /// <summary>Imports the families and copies the evaluation and the model.</summary>
    public static void Gather(string reference, string shapes, string output)
    {
        foreach (var family in FamilyGolden.Families)
        {
            var source = Path.Combine(reference, "families", family);
            var target = Directory.CreateDirectory(Path.Combine(output, "families", family)).FullName;
            var model = Path.Combine(target, "model");
            if (family == "idefics") IdeficsImport.Run(new IdeficsSource(source), model, progress: null, CancellationToken.None);
            else
            {
                var every = new FamilyGolden(source).Root.GetProperty("cross_attn_every_n_layers").GetInt32();
                OpenFlamingoImport.Run(
                    new OpenFlamingoSource(
                        Path.Combine(source, "vision"), Path.Combine(source, "language"), Path.Combine(source, "checkpoint.pt"), every),
                    model, progress: null, CancellationToken.None);
            }

            foreach (var file in new[] { "golden.json", "golden.safetensors" })
                File.Copy(Path.Combine(source, file), Path.Combine(target, file));
        }

        Copy(shapes, Path.Combine(output, "shapes"), file => !file.Contains("examples", StringComparison.Ordinal));
        Copy(
            Path.Combine(reference, "shapes", "evaluation"), Path.Combine(output, "evaluation"),
            file => !file.EndsWith(".safetensors", StringComparison.Ordinal));
    }

    private static void Copy(string from, string to, Func<string, bool> wanted)
    {
        foreach (var file in Directory.EnumerateFiles(from, "*", SearchOption.AllDirectories).Where(wanted))
        {
            var target = Path.Combine(to, Path.GetRelativePath(from, file));
            Directory.CreateDirectory(Path.GetDirectoryName(target)!);
            File.Copy(file, target);
        }
    }
}
