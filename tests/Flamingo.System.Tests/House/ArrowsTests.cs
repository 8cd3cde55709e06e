using System.Text.Json;
using Flamingo.Testing;

namespace Flamingo.SystemTests.House;

/// <summary>Who may know whom. A new arrow is a decision about the house: it is drawn here first.</summary>
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
        ["Flamingo.Client"] = ["Flamingo.Protos"],
        ["Flamingo.Transport"] = ["Flamingo.Configuration", "Flamingo.Protos", "Flamingo.Stages"],
        ["Flamingo.Modeling"] = ["Flamingo.Configuration", "Flamingo.Stages", "Flamingo.Checkpoints"],
        ["Flamingo.ServiceDefaults"] = ["Flamingo.Configuration"],
        ["Flamingo.VisionEncoder"] = ["Flamingo.Modeling"],
        ["Flamingo.Resampler"] = ["Flamingo.Modeling"],
        ["Flamingo.LanguageModel.Engine"] = ["Flamingo.Stages"],
        ["Flamingo.LanguageModel"] = ["Flamingo.LanguageModel.Engine", "Flamingo.Modeling"],
        ["Flamingo.Gateway"] = ["Flamingo.Configuration", "Flamingo.Stages"],
        ["Flamingo.VisionEncoder.Host"] = ["Flamingo.VisionEncoder", "Flamingo.Transport", "Flamingo.ServiceDefaults"],
        ["Flamingo.Resampler.Host"] = ["Flamingo.Resampler", "Flamingo.Transport", "Flamingo.ServiceDefaults"],
        ["Flamingo.LanguageModel.Host"] = ["Flamingo.LanguageModel", "Flamingo.Transport", "Flamingo.ServiceDefaults"],
        ["Flamingo.Gateway.Host"] = ["Flamingo.Gateway", "Flamingo.Transport", "Flamingo.ServiceDefaults"],
    };

    /// <summary>Packages that belong to one room, and the rooms that may name them.</summary>
    private static readonly (string Prefix, string[] Rooms)[] PackagesOfOneRoom =
    [
        ("TorchSharp", ["Flamingo.Modeling"]),
        ("libtorch", ["Flamingo.Modeling"]),
        ("SkiaSharp", ["Flamingo.VisionEncoder", "Flamingo.Cli"]), // the command line draws attention over pictures
        ("SixLabors.", ["Flamingo.VisionEncoder"]),
        ("Microsoft.ML.Tokenizers", ["Flamingo.LanguageModel"]),
        ("StackExchange.Redis", ["Flamingo.Gateway"]),
        ("Microsoft.Extensions.Caching.StackExchangeRedis", []), // tests hold the gateway to its format
        ("System.CommandLine", ["Flamingo.Cli", "Flamingo.GpuCheck"]),
        ("Spectre.Console", ["Flamingo.Cli"]),
    ];

    private static readonly string[] Stages = ["Flamingo.VisionEncoder", "Flamingo.Resampler", "Flamingo.LanguageModel", "Flamingo.Gateway"];

    private static IEnumerable<Project> Rooms => Project.All.Values.Where(project => project.File.StartsWith(RepositoryFiles.Path("libs"), StringComparison.Ordinal) || project.File.StartsWith(RepositoryFiles.Path("services"), StringComparison.Ordinal));

    public static TheoryData<string> RoomNames => [.. Rooms.Select(project => project.Name).Order()];

    public static TheoryData<string> HostNames => [.. Rooms.Select(project => project.Name).Where(name => name.EndsWith(".Host", StringComparison.Ordinal)).Order()];

    [Fact]
    public void Every_room_is_on_the_map() => Assert.Equal(Arrows.Keys.Order(), Rooms.Select(project => project.Name).Order());

    [Theory, MemberData(nameof(RoomNames))]
    public void A_room_knows_only_its_arrows(string name)
    {
        // What an arrow reaches may also be named directly: Stages ← Modeling ← Model lets Model say Stages.
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
    public void The_command_line_knows_everything_but_hosts()
    {
        var cli = Project.All["Flamingo.Cli"];
        Assert.DoesNotContain(cli.Closure(), name => name.EndsWith(".Host", StringComparison.Ordinal));
        Assert.Superset(Stages.ToHashSet(), cli.Closure().ToHashSet());
        Assert.DoesNotContain(Project.All.Values, project => project.References.Contains("Flamingo.Cli") && !project.Name.EndsWith("Tests", StringComparison.Ordinal));
    }

    [Fact]
    public void The_measuring_room_knows_everything_but_hosts_and_only_the_command_line_and_the_check_of_GPUs_know_it()
    {
        var bench = Project.All["Flamingo.Bench"].Closure();
        Assert.DoesNotContain(bench, name => name.EndsWith(".Host", StringComparison.Ordinal) || name == "Flamingo.Cli");
        Assert.Superset(Stages.ToHashSet(), bench.ToHashSet());
        Assert.Equal(["Flamingo.Bench.Tests", "Flamingo.Cli", "Flamingo.GpuCheck"],
            Project.All.Values.Where(project => project.References.Contains("Flamingo.Bench")).Select(project => project.Name).Order());
    }

    [Theory, MemberData(nameof(HostNames))]
    public void No_service_ships_a_pickle_reader(string host)
    {
        Assert.DoesNotContain("Flamingo.Import", Project.All[host].Closure());
        Assert.DoesNotContain(Restored(host), library => library.StartsWith("Flamingo.Import/", StringComparison.Ordinal));
    }

    [Fact]
    public void The_importer_is_known_to_the_command_line_the_measuring_room_and_tests_only()
    {
        var known = Project.All.Values.Where(project => project.References.Contains("Flamingo.Import")).Select(project => project.Name);
        Assert.All(known, name => Assert.True(name is "Flamingo.Cli" or "Flamingo.Bench" || name.EndsWith(".Tests", StringComparison.Ordinal) || name == "Flamingo.Testing", name));
    }

    [Fact]
    public void The_gateway_holds_no_tensor_library()
    {
        var rooms = Project.All["Flamingo.Gateway.Host"].Closure().Add("Flamingo.Gateway.Host");
        Assert.DoesNotContain("Flamingo.Modeling", rooms);
        string[] banned = ["TorchSharp", "libtorch", "SkiaSharp", "SixLabors"];
        Assert.DoesNotContain(rooms.SelectMany(room => Project.All[room].Packages), package => banned.Any(start => package.StartsWith(start, StringComparison.OrdinalIgnoreCase)));

        var restored = Restored("Flamingo.Gateway.Host");
        Assert.Contains(restored, library => library.StartsWith("StackExchange.Redis/", StringComparison.Ordinal)); // the list is the right one
        Assert.DoesNotContain(restored, library => banned.Any(start => library.StartsWith(start, StringComparison.OrdinalIgnoreCase)));
    }

    [Theory, MemberData(nameof(RoomNames))]
    public void Packages_stay_in_their_room(string name)
    {
        var packages = Project.All[name].Packages;
        if (name is "Flamingo.Abstractions" or "Flamingo.Stages" or "Flamingo.Checkpoints" or "Flamingo.Import") Assert.Empty(packages); // base class library only
        if (name == "Flamingo.Protos") Assert.Empty(packages.Except(["Google.Protobuf", "Grpc.Core.Api", "Grpc.Tools"]));
        foreach (var (prefix, rooms) in PackagesOfOneRoom)
        {
            if (!rooms.Contains(name)) Assert.DoesNotContain(packages, package => package.StartsWith(prefix, StringComparison.Ordinal));
        }
    }

    /// <summary>All libraries that NuGet restored for a project, as <c>name/version</c>; the build of this test project restored them.</summary>
    private static List<string> Restored(string project)
    {
        using var stream = File.OpenRead(RepositoryFiles.Path("artifacts", "obj", project, "project.assets.json"));
        using var json = JsonDocument.Parse(stream);
        return [.. json.RootElement.GetProperty("libraries").EnumerateObject().Select(library => library.Name)];
    }
}
