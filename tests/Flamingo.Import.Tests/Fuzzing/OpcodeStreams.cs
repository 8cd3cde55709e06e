using Flamingo.Import.Pickles;
using System.Text;
using Flamingo.Import.Tests.Pickles;

namespace Flamingo.Import.Tests.Fuzzing;

/// <summary>Generates pickles of random opcodes. Most opcodes are well-formed; the pickle as a whole is meaningless or hostile.</summary>
internal static class OpcodeStreams
{
    private static readonly (string Module, string Name)[] Classes =
    [
        ("os", "system"), ("posix", "system"), ("subprocess", "Popen"), ("builtins", "eval"), ("builtins", "exec"),
        ("__builtin__", "getattr"), ("nt", "system"), ("runpy", "_run_code"), ("torch.storage", "_load_from_bytes"),
        ("torch.hub", "load"), ("numpy.core.multiarray", "_reconstruct"), ("codecs", "encode"), ("System.Diagnostics.Process", "Start"),
        ("collections", "OrderedDict"), ("torch", "FloatStorage"), ("torch", "HalfStorage"),
        ("torch._utils", "_rebuild_tensor_v2"), ("torch._utils", "_rebuild_parameter"), ("torch.jit._pickle", "build_intlist"),
        ("__torch__.clip", "Model"), ("__torch__", ""), ("", ""),
    ];

    private static readonly string[] Texts =
        ["", "a", "storage", "0", "cpu", "module.", "model_state_dict", "touch /tmp/owned", "../../etc/passwd", "\0"];
    private static readonly long[] Numbers = [0, 1, -1, 3, 12, int.MaxValue, 1L << 40, 1L << 62, long.MaxValue, long.MinValue];

    public static byte[] Make(Random random)
    {
        var pickle = new PickleWriter();
        for (var opcodes = random.Next(1, 120); opcodes > 0; opcodes--) Append(pickle, random);
        return pickle.Stop();
    }

    private static void Append(PickleWriter pickle, Random random)
    {
        var (module, name) = Classes[random.Next(Classes.Length)];
        var text = Texts[random.Next(Texts.Length)];
        var memo = (byte)random.Next(6);
        switch (random.Next(26))
        {
            case 0: pickle.Global(module, name); break;
            case 1: pickle.Text(module).Text(name).Raw(0x93); break;                               // STACK_GLOBAL
            case 2: pickle.Global(module, name).Text(text).Raw(0x85).Op("R"); break;               // a call
            case 3: pickle.Op($"(i{module}\n{name}\n"); break;                                     // INST
            case 4: pickle.Op("(").Global(module, name).Text(text).Op("o"); break;                 // OBJ
            case 5: pickle.Global(module, name).Op(")").Raw(0x81); break;                          // NEWOBJ
            case 6: pickle.Op("}b"); break;                                                        // BUILD
            case 7: pickle.Text(text); break;
            case 8: pickle.Number(Numbers[random.Next(Numbers.Length)]); break;
            case 9: pickle.Raw(0x8b, 0xff, 0xff, 0xff, 0x7f); break;                               // LONG4 of 2 GiB
            case 10: pickle.Raw(0x8d, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f); break;      // BINUNICODE8 of 8 EiB
            case 11: pickle.Op("X").Raw((byte)random.Next(256), (byte)random.Next(256), 0xff, 0x7f); break;
            case 12: pickle.Raw((byte)'q', memo); break;
            case 13: pickle.Raw((byte)'h', memo); break;
            case 14: pickle.Raw(0x94); break;                                                      // MEMOIZE
            case 15: pickle.Op("r").Raw(0xff, 0xff, 0xff, (byte)random.Next(256)); break;
            case 16: pickle.Tensor(text, "FloatStorage", Numbers[random.Next(Numbers.Length)], Numbers[random.Next(Numbers.Length)],
                [Numbers[random.Next(Numbers.Length)], 2], [Numbers[random.Next(Numbers.Length)], 1]); break;
            case 17: pickle.Op("}q\u0000h\u0000"); break;
            case 18: pickle.Op("(((").Text(text).Op("ttt"); break;
            case 19: pickle.Raw((byte)random.Next(256)); break;
            case 20: pickle.Op("P").Op($"{text}\n"); break;                                        // PERSID
            case 21: pickle.Raw(0x82, memo); break;                                                // EXT1
            default:
                pickle.Raw(Encoding.Latin1.GetBytes("()]}N.012sulatedRQb\u0081\u0085\u0086\u0087\u0088"[random.Next(24)..][..1]));
                break;
        }
    }
}
