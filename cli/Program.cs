using System.Globalization;
using System.Text;
using Flamingo.Cli;

// The invariant culture keeps numbers on the command line and in answers the same in every locale.
CultureInfo.DefaultThreadCurrentCulture = CultureInfo.CurrentCulture = CultureInfo.InvariantCulture;
await using var output = new StreamWriter(Console.OpenStandardOutput(), new UTF8Encoding(false)) { AutoFlush = true };
return await CommandLine.RunAsync(args, output, Console.Error);
