using Flamingo.Import.Pickles;
using System.Runtime.InteropServices;
using Flamingo.Import.Sources;
using Flamingo.Import.Tests.Pickles;
using Flamingo.Import.Tests.Sources;
using Flamingo.Testing.Fuzzing;

namespace Flamingo.Import.Tests.Fuzzing;

/// <summary>Reads damaged and hostile pickles, and archives of such pickles.</summary>
public sealed class PickleFuzzTests : IDisposable
{
    private static readonly byte[] Weights = MemoryMarshal.AsBytes<float>([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]).ToArray();
    private static readonly byte[] StateDict =
        new PickleWriter().Global("collections", "OrderedDict").Op(")Rq\u0001(").Text("a").Tensor("0", "FloatStorage", 12, 0, [3, 4])
            .Text("b").Tensor("0", "FloatStorage", 12, 0, [4, 3], [1, 4])
        .Text("epoch").Op("K\u0003u}").Text("_metadata").Op("h\u0001sb").Stop();
    private static readonly byte[] Module =
        new PickleWriter().Global("__torch__.clip", "Model").Op(")").Raw(0x81).Op("q\u0001}(").Text("training").Raw(0x89).Text("visual")
            .Global("__torch__.clip", "Visual").Op(")").Raw(0x81).Op("}(")
        .Text("proj").Tensor("0", "FloatStorage", 12, 0, [3, 4]).Op("ub").Op("ub").Stop();

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Mutated_pickles()
    {
        var run = FuzzRun.Of(1, 2500, _folder["mutated.pkl"],
            random => ByteMutations.Apply(random.Next(2) == 0 ? StateDict : Module, random), ReadPickle);
        Assert.InRange(run.Accepted, 1, 2000);
        Nothing_but("mutated.pkl");
    }

    [Fact]
    public void Random_opcodes_execute_nothing()
    {
        var run = FuzzRun.Of(2, 2500, _folder["opcodes.pkl"], OpcodeStreams.Make, ReadPickle);
        Assert.InRange(run.Accepted, 1, 1000);
        Nothing_but("opcodes.pkl");
    }

    [Fact]
    public void Mutated_archives()
    {
        TorchFile.Write(_folder["state.pt"], StateDict, Weights);
        TorchFile.Write(_folder["module.pt"], Module, Weights);
        byte[][] seeds = [File.ReadAllBytes(_folder["state.pt"]), File.ReadAllBytes(_folder["module.pt"])];
        foreach (var seed in new[] { "state.pt", "module.pt" }) ReadWeights(_folder[seed]);
        var run = FuzzRun.Of(3, 2000, _folder["archive.pt"], random => ByteMutations.Apply(seeds[random.Next(2)], random), ReadWeights);
        Assert.InRange(run.Accepted, 1, 1900);
        Nothing_but("archive.pt", "module.pt", "state.pt");
    }

    [Fact]
    public void What_multiplies_is_refused()
    {
        Refuse("one list as many", pickle =>
        {
            // The pickle makes many dictionaries of one memoised list of pairs.
            pickle.Op("](");
            for (var pair = 0; pair < 20_000; pair++) pickle.Number(pair).Op("N").Raw(0x86);
            pickle.Op("eq\u0000").Global("collections", "OrderedDict").Op("q\u0001");
            for (var call = 0; call < 2_000; call++) pickle.Op("h\u0001h\u0000").Raw(0x85).Op("R0");
        });
        Refuse("hold each other", pickle =>
        {
            // Each of five levels of modules holds the module below a hundred times: there are 100⁵ paths.
            pickle.Global("__torch__.a", "B").Op("q\u0000N");
            for (var level = 0; level < 5; level++)
            {
                pickle.Op("q\u0001h\u0000)").Raw(0x81).Op("}(");
                for (var name = 0; name < 100; name++) pickle.Text($"{name}").Op("h\u0001");
                pickle.Op("ub");
            }
        });
        Refuse("32-bit", pickle => pickle.Op("}").Number(1L << 40).Op("Ns"));

        void Refuse(string named, Action<PickleWriter> write)
        {
            var run = FuzzRun.Of(4, 1, _folder["bomb.pkl"], _ => Written(write), ReadPickle, named);
            Assert.Equal(1, run.Refused);
        }

        static byte[] Written(Action<PickleWriter> write)
        {
            var pickle = new PickleWriter();
            write(pickle);
            return pickle.Stop();
        }
    }

    private static void ReadPickle(string file)
    {
        var read = PickleReader.Read(File.ReadAllBytes(file), file);
        if (read is PickledModule module) module.StateDict(file);
    }

    private static void ReadWeights(string file)
    {
        using var source = WeightSource.Open(file);
        foreach (var tensor in source.Tensors.Values) Assert.Equal(tensor.Length, tensor.Read().Length);
    }

    private void Nothing_but(params string[] files)
    {
        Assert.False(File.Exists("/tmp/owned"));
        Assert.Equal(files, Directory.GetFileSystemEntries(_folder.Path).Select(file => Path.GetFileName(file)).Order());
    }
}
