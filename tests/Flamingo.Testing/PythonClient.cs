namespace Flamingo.Testing;

/// <summary>
/// Python programs that call the services with the stubs that Debian's protoc makes of the repository's protos. PyPI cannot be reached from
/// every machine that runs the tests; both make the same stubs.
/// </summary>
public static class PythonClient
{
    public const string Packages = "python3-grpcio, protobuf-compiler-grpc and libprotobuf-dev";

    /// <summary>Debian's Python. Another python3 that stands earlier on the path would not find python3-grpcio.</summary>
    public const string Python = "/usr/bin/python3";

    private const string Protoc = "/usr/bin/protoc", PythonPlugin = "/usr/bin/grpc_python_plugin";

    /// <summary>Whether Debian's packages are installed. Without them a test is skipped, except in CI, where it fails.</summary>
    public static bool IsInstalled =>
        File.Exists(Protoc) && File.Exists(PythonPlugin) && File.Exists("/usr/include/google/protobuf/duration.proto")
            && Directory.Exists("/usr/lib/python3/dist-packages/grpc");

    /// <summary>Writes the stubs into a folder and runs a program there.</summary>
    /// <param name="program">The text of the program.</param>
    public static async Task<ProgramRun> RunAsync(string program, string folder, CancellationToken cancellation, params string[] arguments)
    {
        string[] protos = [.. Directory.GetFiles(RepositoryFiles.Path("protos"), "*.proto", SearchOption.AllDirectories)];
        string[] stubs =
        [
            "-I", RepositoryFiles.Path("protos"), "-I", "/usr/include", "--python_out", folder, "--grpc_python_out", folder,
            "--plugin", $"protoc-gen-grpc_python={PythonPlugin}", .. protos,
        ];
        (await ProgramRun.RunAsync(Protoc, stubs, cancellation)).MustReturn(0);
        return await ProgramRun.RunAsync(Python, ["-c", program, .. arguments], cancellation, folder);
    }
}
