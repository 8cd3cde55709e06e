using System.Collections.Immutable;
using System.Xml.Linq;
using Flamingo.Testing;

namespace Flamingo.SystemTests.House;

/// <summary>A project file, which is read as XML without evaluating it.</summary>
/// <param name="References">Names of the referenced projects, without references that only order the build.</param>
/// <param name="Packages">Package references, including conditional ones.</param>
/// <param name="CompiledFiles">Source files outside of the project's folder that the project names.</param>
internal sealed record Project(
    string Name, string File, ImmutableSortedSet<string> References, ImmutableSortedSet<string> Packages,
    ImmutableSortedSet<string> CompiledFiles)
{
    public static IReadOnlyDictionary<string, Project> All { get; } = ReadAll();

    /// <param name="room">A folder of the repository, for example libs.</param>
    public bool IsIn(string room) =>
        File.StartsWith(RepositoryFiles.Path(room) + System.IO.Path.DirectorySeparatorChar, StringComparison.Ordinal);

    /// <summary>All direct and transitive references of a project.</summary>
    public ImmutableSortedSet<string> Closure()
    {
        var reached = References.ToBuilder();
        var left = new Stack<string>(References);
        while (left.TryPop(out var name))
        {
            foreach (var next in All[name].References.Where(reached.Add)) left.Push(next);
        }

        return reached.ToImmutable();
    }

    private static Dictionary<string, Project> ReadAll() =>
        new[] { "libs", "services", "cli", "tests", "bench", "samples" }
            .Select(room => RepositoryFiles.Path(room))
            .Where(Directory.Exists)
            .SelectMany(folder => Directory.EnumerateFiles(folder, "*.csproj", SearchOption.AllDirectories))
            .Select(Read)
            .ToDictionary(project => project.Name);

    private static Project Read(string file)
    {
        var xml = XDocument.Load(file);
        var references = xml.Descendants("ProjectReference")
            .Where(reference =>
                !string.Equals((string?)reference.Attribute("ReferenceOutputAssembly"), "false", StringComparison.OrdinalIgnoreCase))
            .Select(reference => System.IO.Path.GetFileNameWithoutExtension((string)reference.Attribute("Include")!));
        var packages = xml.Descendants("PackageReference").Select(reference => (string)reference.Attribute("Include")!);
        var compiled = xml.Descendants("Compile").Select(item => (string?)item.Attribute("Include")).OfType<string>();
        return new Project(System.IO.Path.GetFileNameWithoutExtension(file), file, [.. references], [.. packages], [.. compiled]);
    }
}
