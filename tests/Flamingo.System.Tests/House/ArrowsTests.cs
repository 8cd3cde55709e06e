using System.Text.Json;
using System.Xml.Linq;
using Flamingo.Testing;

namespace Flamingo.SystemTests.House;

/// <summary>
/// The allowed references between projects. A new reference is a decision about the architecture and is added here first.
/// </summary>
public sealed class ArrowsTests
{
    private static readonly Dictionary<string, string[]> Arrows = new()
    {
        ["Flamingo.Protos"] = [],
        ["Flamingo.Abstractions"] = [],
        ["Flamingo.Stages"] = ["Flamingo.Abstractions"],
        ["Flamingo.Configuration"] = [],
        ["Flamingo.Checkpoints"] = [],
        ["Flamingo.Import"] = ["Flamingo.Checkpoints"],
        ["Flamingo.Wire"] = ["Flamingo.Abstractions", "Flamingo.Protos"],
        ["Flamingo.Client"] = ["Flamingo.Wire"],
        ["Flamingo.Transport"] = ["Flamingo.Configuration", "Flamingo.Stages", "Flamingo.Wire"],
        ["Flamingo.Modeling"] = ["Flamingo.Configuration", "Flamingo.Stages", "Flamingo.Checkpoints"],
        ["Flamingo.ServiceDefaults"] = ["Flamingo.Configuration", "Flamingo.Stages"],
        ["Flamingo.VisionEncoder"] = ["Flamingo.Modeling"],
        ["Flamingo.Resampler"] = ["Flamingo.Modeling"],
        ["Flamingo.LanguageModel.Engine"] = ["Flamingo.Stages"],
        ["Flamingo.LanguageModel"] = ["Flamingo.LanguageModel.Engine", "Flamingo.Modeling"],
        ["Flamingo.Evaluation"] = ["Flamingo.Abstractions"],
        ["Flamingo.Training"] =
            ["Flamingo.Evaluation", "Flamingo.Import", "Flamingo.VisionEncoder", "Flamingo.Resampler", "Flamingo.LanguageModel"],
        ["Flamingo.Gateway"] = ["Flamingo.Configuration", "Flamingo.Stages"],
        ["Flamingo.Gateway.Doors"] = ["Flamingo.Gateway", "Flamingo.Transport", "Flamingo.ServiceDefaults"],
        ["Flamingo.VisionEncoder.Host"] = ["Flamingo.VisionEncoder", "Flamingo.Transport", "Flamingo.ServiceDefaults"],
        ["Flamingo.Resampler.Host"] = ["Flamingo.Resampler", "Flamingo.Transport", "Flamingo.ServiceDefaults"],
        ["Flamingo.LanguageModel.Host"] = ["Flamingo.LanguageModel", "Flamingo.Transport", "Flamingo.ServiceDefaults"],
        ["Flamingo.Gateway.Security"] = ["Flamingo.Configuration", "Flamingo.Wire"],
        ["Flamingo.Gateway.Host"] =
        [
            "Flamingo.Gateway", "Flamingo.Gateway.Doors", "Flamingo.Gateway.Security", "Flamingo.Transport", "Flamingo.ServiceDefaults",
        ],
    };

    /// <summary>Packages that only the listed projects may reference.</summary>
    private static readonly (string Prefix, string[] Rooms)[] PackagesOfOneRoom =
    [
        ("TorchSharp", ["Flamingo.Modeling"]),
        ("libtorch", ["Flamingo.Modeling"]),
        ("SkiaSharp", ["Flamingo.VisionEncoder", "Flamingo.Cli"]), // the command line draws attention maps over pictures
        ("SixLabors.", ["Flamingo.VisionEncoder"]),
        ("Microsoft.ML.Tokenizers", []), // a second implementation for tests of the tokenizer
        ("StackExchange.Redis", ["Flamingo.Gateway"]),
        ("Microsoft.Extensions.Caching.StackExchangeRedis", []), // tests compare the gateway's format with it
        ("Microsoft.IdentityModel.", ["Flamingo.Gateway.Security"]),
        ("System.CommandLine", ["Flamingo.Cli", "Flamingo.Bench", "Flamingo.Bench.Peers", "Flamingo.GpuCheck"]),
        ("LLamaSharp", ["Flamingo.Bench.Peers"]), // a peer to measure against; the product does not know it
        ("Spectre.Console", ["Flamingo.Cli"]),
    ];

    /// <summary>Transitive packages that are requested in versions that do not exist; central versions replace these.</summary>
    private static readonly string[] ForOthersPackages =
    [
        "SharpZipLib", "KeraLua", "Microsoft.IdentityModel.Validators", "System.IdentityModel.Tokens.Jwt",
    ];

    private static readonly string[] Stages =
        ["Flamingo.VisionEncoder", "Flamingo.Resampler", "Flamingo.LanguageModel", "Flamingo.Gateway"];

    private static IEnumerable<Project> Rooms => Project.All.Values.Where(project => project.IsIn("libs") || project.IsIn("services"));

    public static TheoryData<string> RoomNames => [.. Rooms.Select(project => project.Name).Order()];

    public static TheoryData<string> HostNames =>
        [.. Rooms.Select(project => project.Name).Where(name => name.EndsWith(".Host", StringComparison.Ordinal)).Order()];

    [Fact]
    public void Every_room_is_on_the_map() => Assert.Equal(Arrows.Keys.Order(), Rooms.Select(project => project.Name).Order());

    [Fact]
    public void The_page_draws_the_same_arrows()
    {
        var rows = File.ReadLines(RepositoryFiles.Path("docs", "architecture.md"))
            .Select(line => line.Split('|', StringSplitOptions.TrimEntries)).Where(cells => cells is [_, ['`', 'F', ..], _, _, _])
            .ToDictionary(cells => cells[1].Trim('`'),
                cells => cells[3].Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries));
        Assert.Equal(Arrows.Keys.Order(), rows.Keys.Order());
        Assert.All(Arrows, room => Assert.Equal(room.Value.Order(), rows[room.Key].Select(name => name.Trim('`')).Order()));
    }

    [Theory, MemberData(nameof(RoomNames))]
    public void A_room_knows_only_its_arrows(string name)
    {
        // A project may also reference directly what its references reference: if Model may reference Modeling, and Modeling
        // Stages, then Model may reference Stages.
        var allowed = Arrows[name].Concat(Arrows[name].SelectMany(next => Project.All[next].Closure()));
        Assert.Empty(Project.All[name].References.Except(allowed));
    }

    [Fact]
    public void No_stage_knows_another()
    {
        foreach (var stage in Stages) Assert.Empty(Project.All[stage].Closure().Intersect(Stages));
        foreach (var stage in Stages) Assert.Equal([stage], Project.All[stage + ".Host"].Closure().Intersect(Stages));
    }

    [Fact]
    public void The_client_knows_the_public_model_and_its_wire_alone() =>
        Assert.Equal(["Flamingo.Abstractions", "Flamingo.Protos", "Flamingo.Wire"], Project.All["Flamingo.Client"].Closure());

    [Fact]
    public void The_command_line_knows_everything_but_hosts()
    {
        var cli = Project.All["Flamingo.Cli"];
        Assert.DoesNotContain(cli.Closure(), name => name.EndsWith(".Host", StringComparison.Ordinal));
        Assert.Superset(Stages.ToHashSet(), cli.Closure().ToHashSet());
        Assert.DoesNotContain(Project.All.Values,
            project => project.References.Contains("Flamingo.Cli") && !project.Name.EndsWith("Tests", StringComparison.Ordinal));
    }

    [Fact]
    public void The_product_knows_neither_bench_nor_tests_nor_samples()
    {
        var products = Project.All.Values.Where(project => new[] { "libs", "services", "cli" }.Any(project.IsIn)).ToList();
        Assert.Superset(Arrows.Keys.Append("Flamingo.Cli").ToHashSet(), products.Select(project => project.Name).ToHashSet());
        Assert.All(products, product => Assert.DoesNotContain(
            product.Closure(), name => new[] { "bench", "tests", "samples" }.Any(Project.All[name].IsIn)));
        // No project may compile sources of another project by a link, because this would be a dependency without a reference.
        Assert.All(Project.All.Values, project => Assert.DoesNotContain(
            project.CompiledFiles, file => file.Contains("/bench/", StringComparison.Ordinal)));
    }

    [Fact]
    public void A_sample_knows_the_client_alone()
    {
        var samples = Project.All.Values.Where(project => project.IsIn("samples")).ToList();
        Assert.NotEmpty(samples);
        // The shapes world writes data and asks nobody, so it does not even know the client.
        Assert.All(samples, sample => Assert.Equal(sample.Name == "ShapesWorld" ? [] : ["Flamingo.Client"], sample.References));
        Assert.DoesNotContain(Project.All.Values, project => project.References.Overlaps(samples.Select(sample => sample.Name)));
    }

    [Fact]
    public void The_bench_knows_everything_but_hosts_and_the_command_line()
    {
        var bench = Project.All["Flamingo.Bench"].Closure();
        Assert.DoesNotContain(bench, name => name.EndsWith(".Host", StringComparison.Ordinal) || name == "Flamingo.Cli");
        Assert.Superset(Stages.ToHashSet(), bench.ToHashSet());
        Assert.Equal(["Flamingo.Bench.Peers", "Flamingo.Bench.Tests", "Flamingo.GpuCheck"],
            Project.All.Values.Where(project => project.References.Contains("Flamingo.Bench")).Select(project => project.Name).Order());
    }

    [Fact]
    public void Every_package_with_a_version_is_used()
    {
        var used = Project.All.Values.SelectMany(project => project.Packages)
            .Concat(new[] { RepositoryFiles.Path("Directory.Build.props"), RepositoryFiles.Path("tests", "Directory.Build.props") }
                .SelectMany(file => XDocument.Load(file).Descendants("PackageReference")).Select(Included));
        var versions = XDocument.Load(RepositoryFiles.Path("Directory.Packages.props")).Descendants("PackageVersion").Select(Included);
        Assert.Equal(ForOthersPackages.Order(), versions.Except(used).Order());

        static string Included(XElement element) => (string)element.Attribute("Include")!;
    }

    [Theory, MemberData(nameof(HostNames))]
    public void No_service_ships_a_pickle_reader(string host)
    {
        Assert.DoesNotContain("Flamingo.Import", Project.All[host].Closure());
        Assert.DoesNotContain(Restored(host), library => library.StartsWith("Flamingo.Import/", StringComparison.Ordinal));
    }

    [Fact]
    public void The_importer_is_known_to_the_command_line_the_bench_training_and_tests_only()
    {
        var known = Project.All.Values.Where(project => project.References.Contains("Flamingo.Import"));
        Assert.All(known, project =>
            Assert.True(project.Name is "Flamingo.Cli" or "Flamingo.Bench" or "Flamingo.Training" || project.IsIn("tests"), project.Name));
    }

    [Fact]
    public void Training_is_known_to_the_command_line_the_bench_and_tests_only()
    {
        var known = Project.All.Values.Where(project => project.References.Contains("Flamingo.Training"));
        Assert.All(known, project =>
            Assert.True(project.Name is "Flamingo.Cli" or "Flamingo.Bench" || project.IsIn("tests"), project.Name));
    }

    [Fact]
    public void The_gateway_holds_no_tensor_library()
    {
        var rooms = Project.All["Flamingo.Gateway.Host"].Closure().Add("Flamingo.Gateway.Host");
        Assert.DoesNotContain("Flamingo.Modeling", rooms);
        string[] banned = ["TorchSharp", "libtorch", "SkiaSharp", "SixLabors"];
        Assert.DoesNotContain(rooms.SelectMany(room => Project.All[room].Packages),
            package => banned.Any(start => package.StartsWith(start, StringComparison.OrdinalIgnoreCase)));

        var restored = Restored("Flamingo.Gateway.Host");
        // proves that the list holds transitive packages
        Assert.Contains(restored, library => library.StartsWith("StackExchange.Redis/", StringComparison.Ordinal));
        Assert.DoesNotContain(restored, library => banned.Any(start => library.StartsWith(start, StringComparison.OrdinalIgnoreCase)));
    }

    [Theory, MemberData(nameof(RoomNames))]
    public void Packages_stay_in_their_room(string name)
    {
        var packages = Project.All[name].Packages;
        // only the base class library
        if (name is "Flamingo.Abstractions" or "Flamingo.Stages" or "Flamingo.Checkpoints" or "Flamingo.Import") Assert.Empty(packages);
        if (name == "Flamingo.Protos") Assert.Empty(
            packages.Except(["Google.Protobuf", "Grpc.Core.Api", "Google.Api.CommonProtos", "Grpc.Tools"]));
        foreach (var (prefix, rooms) in PackagesOfOneRoom)
        {
            if (!rooms.Contains(name)) Assert.DoesNotContain(packages, package => package.StartsWith(prefix, StringComparison.Ordinal));
        }
    }

    /// <summary>
    /// All libraries that NuGet restored for a project, as <c>name/version</c>; the build of this test project restored them.
    /// </summary>
    private static List<string> Restored(string project)
    {
        using var stream = File.OpenRead(RepositoryFiles.Path("artifacts", "obj", project, "project.assets.json"));
        using var json = JsonDocument.Parse(stream);
        return [.. json.RootElement.GetProperty("libraries").EnumerateObject().Select(library => library.Name)];
    }
}
